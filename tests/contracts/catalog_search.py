"""How packages are found by what somebody types."""

from __future__ import annotations

import pytest

from nora.catalog.base import Catalog
from nora.catalog.records import NewFile
from nora.catalog.search import FoundPackages
from tests.contracts.catalog import LEASE, CatalogFixtures, layer, new_blob, release, sha256, sha512

NAMES = (
    "requests",
    "requests-oauthlib",
    "Flask",
    "flask_login",
    "types-requests",
    "team/web-app",
    "@corp/react-forms",
    "org.example:spring-boot-starter",
    "имя-пакета",
)


class SearchContract(CatalogFixtures):
    """The suite of nora.catalog.search.Search."""

    async def test_names_are_found_by_their_words_before_and_after_they_are_indexed(
        self, catalog: Catalog, ids: tuple[int, int]
    ) -> None:
        for name in NAMES:
            await catalog.publish(release(ids[0], name, name), LEASE)
        await catalog.claim_package(ids[0], "requests-claimed")
        typed = {
            "requests": ["requests", "requests-oauthlib", "types-requests"],
            "FLASK": ["Flask", "flask_login"],
            "flask login": ["flask_login"],
            "flask-login": ["flask_login"],
            "boot spring": ["org.example:spring-boot-starter"],
            "team/web": ["team/web-app"],
            "web-app": ["team/web-app"],
            "ПАКЕТ": ["имя-пакета"],
            "quest": ["requests", "requests-oauthlib", "types-requests"],
            # a letter wrong, missing, superfluous, swapped; two of them
            "reqeusts": ["requests", "requests-oauthlib", "types-requests"],
            "rquests": ["requests", "requests-oauthlib", "types-requests"],
            "erquests": ["requests", "requests-oauthlib", "types-requests"],
            "requuesst": ["requests", "requests-oauthlib", "types-requests"],
            "falsk": ["Flask", "flask_login"],
            "raect": ["@corp/react-forms"],
            "sprnig boot": ["org.example:spring-boot-starter"],
            # nothing like it, or nothing at all
            "claimed": [],
            "%": [],
            "": [],
            '" MATCH (': [],
            "zzzzzzzzzz": [],
            "a" * 9999: [],
        }
        for _ in range(2):
            for text, expected in typed.items():
                found = await self.search(catalog, ids, text)
                assert _names(found) == expected, text
            assert not await catalog.index_names(99)
        assert _names(await self.search(catalog, ids, "re")) == ["requests", "requests-oauthlib"]

    async def test_the_index_is_made_in_steps(self, catalog: Catalog, ids: tuple[int, int]) -> None:
        for name in NAMES:
            await catalog.publish(release(ids[0], name, name), LEASE)
        steps = 1
        while await catalog.index_names(2):
            assert len(_names(await self.search(catalog, ids, "requests"))) == 3
            steps += 1
        assert steps == 1 + len(NAMES) // 2
        await catalog.publish(release(ids[0], "newest", "newest"), LEASE)
        assert _names(await self.search(catalog, ids, "newest")) == ["newest"]

    async def test_what_may_not_be_shown_is_neither_found_nor_counted(
        self, catalog: Catalog, ids: tuple[int, int]
    ) -> None:
        hosted, other = ids
        for name in ("app-1", "app-2", "app-3", "secret-app"):
            await catalog.publish(release(hosted, name, name), LEASE)
        await catalog.publish(release(other, "app-4", "x"), LEASE)

        async def search(skip: int, limit: int) -> tuple[list[str], bool]:
            found = await catalog.find_names(
                "app", [hosted], lambda row, name: name != "secret-app", skip=skip, limit=limit
            )
            return _names(found), found.has_more

        assert await search(0, 2) == (["app-1", "app-2"], True)
        assert await search(2, 2) == (["app-3"], False)
        assert await search(0, 3) == (["app-1", "app-2", "app-3"], False)
        assert (await catalog.find_names("app", [], lambda *_: True, skip=0, limit=9)).packages == ()

    async def test_what_is_gone_is_not_found(self, catalog: Catalog, ids: tuple[int, int]) -> None:
        await catalog.publish(release(ids[0], "brief", "brief"), LEASE)
        await catalog.index_names(99)
        assert _names(await self.search(catalog, ids, "brief")) == ["brief"]
        version = (await catalog.list_versions(ids[0], "brief"))[0].name
        await catalog.delete_version(ids[0], "brief", version)
        assert _names(await self.search(catalog, ids, "brief")) == []

    async def test_tags_are_found_by_how_they_begin(self, catalog: Catalog, ids: tuple[int, int]) -> None:
        hosted, other = ids
        await catalog.publish(release(hosted, "team/app", "one", "1.2", "1.2.3", "latest"), LEASE)
        await catalog.publish(release(hosted, "team/web", "two", "1.2", version="v"), LEASE)
        await catalog.publish(release(other, "app", "three", "1.2"), LEASE)

        async def tags(tag: str, *words: str, hidden: str = "") -> list[str]:
            found = await catalog.find_tags(tag, words, [hosted], lambda _, name: name != hidden, limit=9)
            return [f"{one.package}:{one.tag}" for one in found]

        assert await tags("1.2") == ["team/app:1.2", "team/web:1.2", "team/app:1.2.3"]
        assert await tags("1.2", hidden="team/app") == ["team/web:1.2"]
        assert await tags("1", "web") == ["team/web:1.2"]
        assert await tags("lat") == ["team/app:latest"]
        assert await tags("") == await tags("%") == []
        assert await catalog.delete_tag(hosted, "team/app", "1.2") is not None
        assert await catalog.delete_version(hosted, "team/web", "v")
        assert await tags("1.2") == ["team/app:1.2.3"]
        while await catalog.index_tags(1):
            pass
        assert await tags("1.2") == ["team/app:1.2.3"]

    async def test_content_is_found_by_how_its_digest_begins(
        self, catalog: Catalog, ids: tuple[int, int]
    ) -> None:
        hosted, other = ids
        await catalog.add_blob(new_blob("layer"), hosted, "team/app", LEASE)
        await catalog.publish(release(hosted, "team/app", "one", version="1", needs=(layer("layer"),)), LEASE)
        alone = NewFile(path="a/file", media_type="text/plain", blob=new_blob("alone", sha512("alone")))
        await catalog.put_file(other, alone, replace=False)

        async def contents(digest: str, hidden: str = "") -> list[tuple[str | None, str | None]]:
            found = await catalog.find_contents(digest, ids, lambda _, name: name != hidden, limit=9)
            return [(one.package, one.path) for one in found]

        assert await contents(sha256("layer")[:15]) == [("team/app", None)]
        (found,) = await catalog.find_contents(sha256("one"), ids, lambda *_: True, limit=9)
        assert (found.package, found.version, found.digest, found.size) == ("team/app", "1", sha256("one"), 3)
        assert await contents(sha512("alone")[:20]) == await contents(sha256("alone")) == [(None, "a/file")]
        assert await contents(sha256("alone"), "a/file") == await contents(sha256("absent")) == []

    async def search(self, catalog: Catalog, ids: tuple[int, int], text: str) -> FoundPackages:
        found = await catalog.find_names(text, ids, lambda *_: True, skip=0, limit=20)
        assert found.is_complete
        return found


def _names(found: FoundPackages) -> list[str]:
    return [one.name for one in found.packages]


pytestmark = pytest.mark.anyio
