"""What administrators remove from caches, by repository, name and part."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

import pytest

from nora.catalog.records import NewCached
from nora.errors import BadRequest, NotFound
from nora.formats.pypi.parts import PARTS
from nora.model import Digest
from nora.resolve.purging import Purging, Wanted
from tests.contracts.catalog import new_blob
from tests.resolve.conftest import fold
from tests.resolve.world import World

pytestmark = pytest.mark.anyio
Make = Callable[..., World]
TWO = """
[pypi]
upstreams = ["https://first.example.com/simple", "https://second.example.com/simple"]
[repositories.alone]
format = "pypi"
"""
FIRST, SECOND = "https://first.example.com/simple", "https://second.example.com/simple"


def purging(world: World, forgotten: list[str] | None = None) -> Purging:
    said: list[str] = [] if forgotten is None else forgotten
    return Purging(world.catalog, world.repositories, {"pypi": fold}, {"pypi": PARTS}, said.append)


async def fetched(world: World, number: int, project: str, version: str) -> Digest:
    """What a format does when a wheel of a source comes in, with core metadata out of it."""
    path, source = f"{project}/{project}-{version}.whl", world.repositories["pypi-proxy"].sources[number]
    blob = new_blob(path)
    for end in ("", ".metadata"):
        entry = NewCached(
            path=path + end,
            package=project,
            version=None if end else version,
            media_type="application/octet-stream",
            blob=new_blob(path + end),
            upstream_url="https://files.example.com",
            fetched_at=0.0,
            fresh_until=inf,
        )
        await world.catalog.put_cached(source.id, entry, 60.0)
    package = await world.catalog.find_package(source.id, project)
    assert package is not None
    said = package.document.replace(b"{}", b'{"metadata":{}}').replace(
        b'"metadata":{', b'"metadata":{"%s-%s.whl":"00",' % (project.encode(), version.encode())
    )
    await world.catalog.update_package(source.id, project, said.replace(b",}", b"}"))
    return blob.digest


async def pinned(world: World, name: str) -> list[bool]:
    return [one.pinned for one in (await world.resolve("pypi", name)).candidates]


async def test_a_purged_name_is_open_again(make: Make) -> None:
    """A pin by mistake: the second source had it once, and the first was known to be without it."""
    world, forgotten = await make(TWO).begin(), list[str]()
    await world.first("pypi", "demo", {"first": None, "second": "x"})
    second = world.repositories["pypi-proxy"].sources[1]
    assert await pinned(world, "demo") == [False, True]
    purged = await purging(world, forgotten).purge("pypi", Wanted(name="Demo"))
    assert (purged.paths, purged.packages) == (("demo/",), 1)
    assert await pinned(world, "demo") == [False, False]
    assert set(forgotten) == {"demo"}
    first = world.repositories["pypi-proxy"].sources[0]
    assert await world.catalog.find_absences([(first.id, "demo"), (second.id, "demo")]) == set()


async def test_names_are_purged_however_they_are_spelled(make: Make) -> None:
    world = await make(TWO).begin()
    await fetched(world, 0, "a-b", "1.0")
    assert (await purging(world).purge("pypi-proxy", Wanted(name="A__b"))).packages == 1


async def test_a_source_is_purged_alone(make: Make) -> None:
    world = await make(TWO).begin()
    for number in (0, 1):
        await fetched(world, number, "demo", "1.0")
    admin = purging(world)
    assert (await admin.purge("pypi", Wanted(name="demo", source=f"{SECOND}/"))).packages == 1
    with pytest.raises(NotFound, match="nothing of that is cached in pypi"):
        await admin.purge("pypi", Wanted(name="demo", source=SECOND))
    assert (await admin.purge("pypi", Wanted(name="demo", source=FIRST))).packages == 1
    with pytest.raises(NotFound, match=f"no upstream https://third.example.com, but {FIRST}, {SECOND}"):
        await admin.purge("pypi", Wanted(name="demo", source="https://third.example.com"))


async def test_a_version_goes_with_what_is_remembered_of_its_files(make: Make) -> None:
    world = await make(TWO).begin()
    for version in ("1.0", "2.0"):
        await fetched(world, 0, "demo", version)
    purged = await purging(world).purge("pypi", Wanted(name="demo", version="v1.0"))
    assert purged.paths == ("demo/demo-1.0.whl", "demo/demo-1.0.whl.metadata")
    package = await world.catalog.find_package(world.repositories["pypi-proxy"].sources[0].id, "demo")
    assert package is not None
    assert package.document == b'{"metadata":{"demo-2.0.whl":"00"}}'
    assert await pinned(world, "demo") == [True], "the name stays whose it is"


@pytest.mark.parametrize("by", ["file", "path", "digest", "digest of the name"])
async def test_a_file_is_purged_by_its_name_path_or_digest(make: Make, by: str) -> None:
    world = await make(TWO).begin()
    digest = await fetched(world, 0, "demo", "1.0")
    await fetched(world, 0, "other", "1.0")
    wanted = {
        "file": Wanted(name="demo", file="demo-1.0.whl"),
        "path": Wanted(file="demo/demo-1.0.whl"),
        "digest": Wanted(digest=digest),
        "digest of the name": Wanted(name="demo", digest=digest),
    }[by]
    purged = await purging(world).purge("pypi", wanted)
    assert purged.paths == ("demo/demo-1.0.whl", "demo/demo-1.0.whl.metadata")


@pytest.mark.parametrize(
    ("repository", "wanted", "told"),
    [
        ("none", Wanted(name="demo"), "there is no repository none"),
        ("alone", Wanted(name="demo"), "alone caches nothing"),
        ("pypi-hosted", Wanted(name="demo"), "removed by DELETE"),
        ("pypi", Wanted(), "a name, a file or a digest"),
        ("pypi", Wanted(version="1.0"), "of which name"),
        ("pypi", Wanted(name="demo", version="1.0", file="x"), "one of version, file and digest"),
        ("pypi", Wanted(name="demo"), "nothing of that is cached"),
        ("pypi", Wanted(file="demo/demo-1.0.whl"), "nothing of that is cached"),
        ("pypi", Wanted(digest=Digest(f"sha256:{'1' * 64}")), "nothing of that is cached"),
    ],
)
async def test_what_makes_no_sense_is_refused(make: Make, repository: str, wanted: Wanted, told: str) -> None:
    world = await make(TWO).begin()
    with pytest.raises((BadRequest, NotFound), match=told):
        await purging(world).purge(repository, wanted)
