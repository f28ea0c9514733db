"""What people are shown of projects."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

from nora.catalog.records import PackageFile
from nora.formats.base import Services
from nora.formats.browsing import Browse, Description, Fact, Holding, Readme, Site, Snippet, netrc
from nora.formats.pypi.files import PROVENANCE
from nora.formats.pypi.hosted import METADATA
from nora.http.send import read_small

LARGEST: Final = 1 << 20
LARGEST_README: Final = 256 << 10
_MARK: Final = "M8 1.5 14 5v6l-6 3.5L2 11V5zM2 5l6 3.5L14 5M8 8.5v6"


def snippets(site: Site) -> Sequence[Snippet]:
    """pip, uv, twine and poetry."""
    legacy = f"{site.root}/legacy/"
    return (
        Snippet("pip", "install", f"pip install --index-url {site.url} requests"),
        Snippet("pip", "set up", f"pip config set global.index-url {site.url}"),
        Snippet("uv", "install", f"uv pip install --index-url {site.url} requests"),
        Snippet("uv", "publish", f"uv publish --publish-url {legacy} --check-url {site.url} dist/*"),
        Snippet("twine", "publish", f"twine upload --repository-url {legacy} dist/*"),
        Snippet("poetry", "set up", f"poetry source add --priority=primary nora {site.url}"),
        Snippet("poetry", "publish", f"poetry config repositories.nora {legacy}\npoetry publish -r nora"),
    )


def credentials(site: Site, user: str, token: str) -> Sequence[Snippet]:
    """pip and uv read one file, twine and poetry have their own."""
    pypirc = (
        f"[distutils]\nindex-servers = nora\n\n[nora]\nrepository = {site.root}/legacy/\n"
        f"username = {user}\npassword = {token}"
    )
    return (
        netrc("pip, uv", site.name, user, token),
        Snippet("uv publish", "log in", f"export UV_PUBLISH_TOKEN={token}"),
        Snippet("twine", "log in", pypirc, "~/.pypirc"),
        Snippet("poetry", "log in", f"poetry config http-basic.nora {user} {token}"),
    )


def install(site: Site, project: str, version: str) -> Sequence[Snippet]:
    """A version of a project."""
    wanted = f"{project}=={version}"
    return (
        Snippet("pip", "install", f"pip install --index-url {site.url} {wanted}"),
        Snippet("uv", "install", f"uv pip install --index-url {site.url} {wanted}"),
        Snippet("poetry", "install", f"poetry add {wanted}"),
    )


async def describe(services: Services, holding: Holding, version: str) -> Description | None:
    """What the core metadata of one of its files says."""
    found = _metadata_of(holding.files, version)
    if found is None or found.blob.size > LARGEST:
        return None
    data = await read_small(services.blobs, services.memory, found.blob)
    proofs = tuple(
        Fact("Attestations of", one.path.rpartition("/")[2].removesuffix(PROVENANCE))
        for one in holding.files
        if one.path.endswith(PROVENANCE) and _is_beside(one.path, holding.files, version)
    )
    return replace(await asyncio.to_thread(_description, data), proofs=proofs)


def _is_beside(path: str, files: Sequence[PackageFile], version: str) -> bool:
    """Whether it lies beside a file of a version."""
    return any(one.path == path.removesuffix(PROVENANCE) and one.version == version for one in files)


def _metadata_of(files: Sequence[PackageFile], version: str) -> PackageFile | None:
    """The metadata beside a wheel, else beside an sdist. Those of a source have no version of their own."""
    names = sorted(
        (one.path for one in files if one.version == version and not one.path.endswith(METADATA)),
        key=lambda path: not path.endswith(".whl"),
    )
    beside = {one.path: one for one in files if one.path.endswith(METADATA)}
    return next((beside[name + METADATA] for name in names if name + METADATA in beside), None)


def _description(data: bytes) -> Description:
    """In a thread: what reads metadata is loaded with the first of it."""
    from packaging.metadata import parse_email

    raw, _ = parse_email(data)
    text, kind = str(raw.get("description", "")), str(raw.get("description_content_type", ""))
    is_markdown = kind.partition(";")[0].strip().lower() == "text/markdown"
    readme = Readme(text.encode("utf-8", "replace")[:LARGEST_README], is_markdown) if text.strip() else None
    return Description(str(raw.get("summary", ""))[:500], tuple(_facts(raw)), readme=readme)


def _facts(raw: Any) -> Iterator[Fact]:
    for label, name in (
        ("License", "license_expression" if raw.get("license_expression") else "license"),
        ("Author", "author"),
        ("Requires Python", "requires_python"),
    ):
        if text := raw.get(name):
            yield Fact(label, str(text)[:300])
    requires = raw.get("requires_dist") or ()
    if plain := [one for one in requires if "extra ==" not in one]:
        yield Fact("Requires", ", ".join(plain)[:1000])
    links = {
        **({"Homepage": raw["home_page"]} if raw.get("home_page") else {}),
        **(raw.get("project_urls") or {}),
    }
    for label, url in list(links.items())[:10]:
        yield Fact(str(label)[:60], str(url)[:300], str(url))


BROWSE: Final = Browse(
    mark=_MARK,
    snippets=snippets,
    credentials=credentials,
    install=install,
    describe=describe,
    beside=(METADATA, PROVENANCE),
)
