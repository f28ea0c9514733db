"""How much repositories may hold, and that this is counted right whatever happens."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from nora.catalog.base import Catalog
from nora.catalog.quotas import Usage
from nora.catalog.records import NewFile, TagWrite
from nora.errors import NoraError, QuotaExceeded
from nora.model import Quota
from tests.contracts.catalog import HOSTED, LEASE, OTHER, CatalogFixtures, layer, new_blob, release, sha256

MANY = Quota(bytes=10**9, versions=10**6)


def file(path: str, content: str) -> NewFile:
    return NewFile(path=path, media_type="text/plain", blob=new_blob(content))


async def limit(catalog: Catalog, quota: Quota | None) -> int:
    """Let the repository `hosted` have a quota; its id."""
    specs = (replace(HOSTED, quota=quota), OTHER)
    return (await catalog.sync_repositories(specs))["hosted"].id


class QuotasContract(CatalogFixtures):
    """The suite of nora.catalog.quotas.Quotas."""

    async def test_what_is_counted_is_what_there_is(self, catalog: Catalog) -> None:
        hosted = await limit(catalog, None)
        other = (await catalog.sync_repositories((HOSTED, OTHER)))["other"].id
        dice = random.Random(7)

        async def step(number: int) -> None:
            package, content = f"app{dice.randrange(3)}", f"content {dice.randrange(9)}"
            name, place = f"v{dice.randrange(6)}", dice.choice((hosted, hosted, other))
            history = await catalog.read_package_history(place, package)
            versions = [one.name for one in history.versions] if history else []
            steps: list[Callable[[], Awaitable[object]]] = [
                lambda: catalog.publish(release(place, package, content, name, version=name), LEASE),
                lambda: catalog.publish(release(place, package, content, version=name), LEASE),
                lambda: catalog.add_blob(new_blob(content), place, package, LEASE),
                lambda: catalog.put_file(place, file(f"a/{name}", content), replace=True),
                lambda: catalog.put_file(place, file(f"a/{name}", content), replace=False),
                lambda: catalog.delete_files(place, [f"a/{name}"], for_good=False),
                lambda: catalog.delete_version(place, package, dice.choice([*versions, name])),
                lambda: catalog.unlink_blob(place, package, sha256(content)),
                lambda: catalog.mount_blob(sha256(content), [(other, package)], place, package, LEASE),
                lambda: catalog.set_tag(place, package, TagWrite("t"), name),
                lambda: catalog.delete_tag(place, package, "t"),
            ]
            with suppress(NoraError):
                await dice.choice(steps)()

        for number in range(240):
            if number == 60:  # by then there is something: counted when the quota is said
                await limit(catalog, MANY)
            await step(number)
            if number >= 60 and number % 6 == 0:
                totals = (await catalog.summarize()).repositories[hosted]
                usage = await catalog.list_usage()
                assert usage == {hosted: Usage(MANY, totals.bytes, totals.artifacts)}, number
        await limit(catalog, None)
        assert await catalog.list_usage() == {}

    async def test_what_would_be_too_much_is_refused_and_leaves_nothing(self, catalog: Catalog) -> None:
        hosted = await limit(catalog, Quota(bytes=20, versions=2))
        await catalog.publish(release(hosted, "app", "0123456789", "1"), LEASE)
        with pytest.raises(
            QuotaExceeded, match=r"the repository hosted is full: .* 21 bytes of 20 \(quota_b"
        ):
            await catalog.publish(release(hosted, "app", "01234567890", "2"), LEASE)
        with pytest.raises(QuotaExceeded):
            await catalog.add_blob(new_blob("01234567890"), hosted, "web", LEASE)
        assert await catalog.find_package(hosted, "web") is None
        assert await catalog.list_tags(hosted, "app", "", 9) == ["1"]
        await catalog.publish(release(hosted, "web", "0123456789", "1"), LEASE)  # the same bytes once more
        with pytest.raises(QuotaExceeded, match="3 versions of 2"):
            await catalog.publish(release(hosted, "app", "x", "x"), LEASE)
        with pytest.raises(QuotaExceeded, match="3 versions of 2"):
            await catalog.put_file(hosted, file("a", "y"), replace=False)
        assert (await catalog.list_usage())[hosted] == Usage(Quota(20, 2), 10, 2)
        await catalog.delete_version(hosted, "web", sha256("0123456789"))
        await catalog.put_file(hosted, file("a", "y"), replace=False)
        await catalog.put_file(hosted, file("a", "z"), replace=True)
        other = (await catalog.sync_repositories((replace(HOSTED, quota=Quota(20, 2)), OTHER)))["other"].id
        await catalog.publish(release(other, "app", "x" * 99, "x"), LEASE)

    async def test_a_quota_that_was_made_smaller_refuses_only_more(self, catalog: Catalog) -> None:
        hosted = await limit(catalog, None)
        for name in "abc":
            await catalog.publish(release(hosted, "app", name, name), LEASE)
        await limit(catalog, Quota(bytes=1, versions=1))
        assert (await catalog.list_usage())[hosted] == Usage(Quota(1, 1), 3, 3)
        await catalog.publish(release(hosted, "app", "a", "again"), LEASE)
        await catalog.set_tag(hosted, "app", TagWrite("b2"), sha256("b"))
        with pytest.raises(QuotaExceeded):
            await catalog.publish(release(hosted, "app", "d", "d"), LEASE)
        with pytest.raises(QuotaExceeded, match="it holds 3 bytes of 1"):
            await catalog.open_upload("0" * 32, hosted, "app", "sha256", 9)
        await catalog.delete_version(hosted, "app", sha256("a"))
        await limit(catalog, Quota(versions=3))
        await catalog.open_upload("0" * 32, hosted, "app", "sha256", 9)
        await catalog.publish(release(hosted, "app", "d", "d"), LEASE)

    async def test_writers_at_once_never_hold_more_than_there_may_be(
        self, catalog: Catalog, tmp_path: Path
    ) -> None:
        hosted = await limit(catalog, Quota(bytes=200, versions=15))
        others = [self.make(tmp_path) for _ in range(3)]

        async def write(writer: int, one: Catalog) -> int:
            done = 0
            for number in range(12):
                try:
                    await one.publish(
                        release(hosted, f"app{writer}", f"{writer} {number:08}", version=str(number)), LEASE
                    )
                    done += 1
                except QuotaExceeded:
                    pass
            return done

        done = await asyncio.gather(*(write(*one) for one in enumerate([catalog, *others])))
        for one in others:
            await one.close()
        usage = (await catalog.list_usage())[hosted]
        assert (sum(done), usage.versions, usage.bytes) == (15, 15, 150)
        await catalog.add_blob(new_blob("x" * 50), hosted, "app", LEASE)
        with pytest.raises(QuotaExceeded):
            await catalog.publish(release(hosted, "app", "m", needs=(layer("x" * 50),)), LEASE)


pytestmark = pytest.mark.anyio
