"""What holds for every catalog engine. An engine inherits CatalogContract and says how it is made.

class TestSQLiteCatalog(CatalogContract):
    def make(self, folder: Path) -> Catalog: ...

So it does with FilesContract and CachedContract of the modules beside this one.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nora.catalog.base import Catalog
from nora.catalog.records import (
    NO_PACKAGE,
    Blob,
    NewBlob,
    NewFile,
    Reference,
    Release,
    TagWrite,
    Token,
    VersionAbout,
)
from nora.errors import (
    BlobNotFound,
    ConfigError,
    Conflict,
    MissingReferences,
    PackageChanged,
    PreconditionFailed,
    StorageFailed,
    TooManyRequests,
    UploadNotFound,
)
from nora.model import Digest, RepositorySpec, Role, Scope

LEASE = 60.0
HOSTED = RepositorySpec("hosted", "docker", "hosted")
OTHER = RepositorySpec("other", "docker", "hosted")
GROUP = RepositorySpec("group", "docker", "group", ("other", "hosted"), "hosted")

names = st.text(
    st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), min_size=1, max_size=8
)
"""Any text but NUL and what is no text (surrogates)."""

_generations = itertools.count(1)


def sha256(content: str) -> Digest:
    return Digest(f"sha256:{hashlib.sha256(content.encode()).hexdigest()}")


def sha512(content: str) -> Digest:
    return Digest(f"sha512:{hashlib.sha512(content.encode()).hexdigest()}")


def new_blob(content: str, *aliases: Digest) -> NewBlob:
    return NewBlob(sha256(content), len(content), "0" * 32, next(_generations), aliases)


def release(
    repository_id: int,
    package: str,
    content: str,
    *tags: str | TagWrite,
    needs: tuple[Reference, ...] = (),
    kind: str | None = None,
    subject: str | None = None,
    version: str | None = None,
) -> Release:
    """A release with one file, which may be published again."""
    version = version or sha256(content)
    path = f"{package}/manifests/{version}"
    return Release(
        repository_id=repository_id,
        package=package,
        version=version,
        files=(NewFile(path=path, media_type="application/json", blob=new_blob(content)),),
        document=b'{"made of":"%s"}' % content.encode(),
        kind=kind,
        subject=None if subject is None else sha256(subject),
        references=needs,
        tags=tuple(TagWrite(tag) if isinstance(tag, str) else tag for tag in tags),
        replace=True,
    )


def with_blob(made: Release, blob: NewBlob | Blob) -> Release:
    """The same release with other bytes."""
    return replace(made, files=(replace(made.files[0], blob=blob),))


def layer(content: str) -> Reference:
    return Reference(sha256(content), "layer", required=True)


def token(
    number: int,
    user: str,
    *,
    role: Role = "read",
    scopes: tuple[Scope, ...] = (),
    description: str = "",
    expires_at: float | None = None,
) -> Token:
    secret_hash = hashlib.sha256(b"%d" % number).hexdigest()
    return Token(f"{number:016x}", secret_hash, user, role, scopes, description, 1.5, expires_at)


@pytest.mark.anyio
class CatalogFixtures:
    """Each test has a catalog of its own with two hosted repositories and a group of them."""

    def make(self, folder: Path) -> Catalog:
        raise NotImplementedError

    @pytest.fixture
    def anyio_backend(self) -> str:
        return "asyncio"

    @pytest.fixture
    async def catalog(self, tmp_path: Path) -> AsyncIterator[Catalog]:
        catalog = self.make(tmp_path)
        yield catalog
        await catalog.close()

    @pytest.fixture
    async def ids(self, catalog: Catalog) -> tuple[int, int]:
        repositories = await catalog.sync_repositories([HOSTED, OTHER, GROUP])
        return repositories["hosted"].id, repositories["other"].id


class CatalogContract(CatalogFixtures):
    """The suite of repositories, publishing, tags, blobs, uploads and tokens."""

    # -- repositories --------------------------------------------------------------------------------

    async def test_repositories_are_those_that_are_declared(self, catalog: Catalog) -> None:
        first = await catalog.sync_repositories([HOSTED, OTHER, GROUP])
        assert set(first) == {"hosted", "other", "group"}
        group = first["group"]
        assert group.readable == (first["other"], first["hosted"])
        assert group.writable == first["hosted"]
        assert first["hosted"].readable == (first["hosted"],)
        assert await catalog.sync_repositories([GROUP, HOSTED, OTHER]) == first

    async def test_a_group_changes_and_a_repository_that_is_not_declared_keeps_its_rows(
        self, catalog: Catalog
    ) -> None:
        before = await catalog.sync_repositories([HOSTED, OTHER, GROUP])
        await catalog.publish(release(before["other"].id, "app", "m", "1"), LEASE)
        alone = RepositorySpec("group", "docker", "group", ("hosted",))
        now = await catalog.sync_repositories([HOSTED, alone])
        assert set(now) == {"hosted", "group"}
        assert now["group"].members == (before["hosted"],)
        assert now["group"].writable is None
        assert await catalog.sync_repositories([HOSTED, OTHER, GROUP]) == before
        assert await catalog.find_tagged_file(before["other"].id, "app", "1") is not None

    @pytest.mark.parametrize(("format_", "kind"), [("npm", "hosted"), ("docker", "proxy")])
    async def test_a_repository_with_packages_keeps_its_format_and_kind(
        self, catalog: Catalog, format_: str, kind: str
    ) -> None:
        changed = RepositorySpec("hosted", format_, kind)  # type: ignore[arg-type]
        await catalog.sync_repositories([HOSTED])
        assert (await catalog.sync_repositories([changed]))["hosted"].kind == kind
        repository = (await catalog.sync_repositories([HOSTED]))["hosted"]
        await catalog.publish(release(repository.id, "app", "m"), LEASE)
        with pytest.raises(ConfigError, match="hosted"):
            await catalog.sync_repositories([changed])
        assert await catalog.sync_repositories([HOSTED]) == {"hosted": repository}

    @pytest.mark.parametrize("member", ["absent", "group"])
    async def test_a_member_must_be_a_repository_with_files(self, catalog: Catalog, member: str) -> None:
        with pytest.raises(ConfigError, match=member):
            await catalog.sync_repositories(
                [HOSTED, RepositorySpec("group", "docker", "group", ("hosted", member))]
            )

    # -- publishing ----------------------------------------------------------------------------------

    async def test_what_is_published_is_found_every_way(self, catalog: Catalog, ids: tuple[int, int]) -> None:
        hosted, other = ids
        new = release(hosted, "team/app", "manifest", "1", "latest")
        [published], [blob] = new.files, await catalog.publish(new, LEASE)
        path, digest = published.path, published.blob.digest
        assert (blob.digest, blob.size, blob.generation) == (digest, 8, published.blob.generation)
        file = await catalog.find_file(hosted, path)
        assert file is not None
        assert (file.repository_id, file.path, file.media_type) == (hosted, path, "application/json")
        assert (file.package, file.version) == ("team/app", new.version)
        assert (file.blob.id, file.blob.digest) == (blob.id, blob.digest)
        assert await catalog.find_tagged_file(hosted, "team/app", "1") == file
        assert await catalog.find_tagged_file(hosted, "team/app", "latest") == file
        assert await catalog.find_version_file(hosted, "team/app", digest) == file
        for repository, package in [(other, "team/app"), (hosted, "team/ap"), (hosted, "team/app2")]:
            assert await catalog.find_tagged_file(repository, package, "1") is None
            assert await catalog.find_version_file(repository, package, digest) is None
            assert await catalog.has_package(repository, package) is False
        assert await catalog.find_file(other, path) is None
        assert await catalog.find_tagged_file(hosted, "team/app", "Latest") is None

    async def test_publishing_again_renews(self, catalog: Catalog, ids: tuple[int, int]) -> None:
        hosted, _ = ids
        await catalog.add_blob(new_blob("layer"), hosted, "app", LEASE)
        [first] = await catalog.publish(release(hosted, "app", "m", "1", needs=(layer("layer"),)), LEASE)
        again = release(hosted, "app", "m", "2", needs=(layer("layer"), layer("layer")))
        [second] = await catalog.publish(again, LEASE)
        assert (second.id, second.generation) == (first.id, first.generation)
        assert again.files[0].blob.generation != first.generation
        assert await catalog.list_tags(hosted, "app", "", 10) == ["1", "2"]
        assert await catalog.list_packages(hosted, "", 10) == ["app"]
        assert await catalog.delete_version(hosted, "app", again.version)
        assert await catalog.list_packages(hosted, "", 10) == []

    async def test_another_tag_for_bytes_that_are_held(self, catalog: Catalog, ids: tuple[int, int]) -> None:
        hosted, _ = ids
        first = release(hosted, "app", "m", "1")
        [held] = await catalog.publish(first, LEASE)
        [again] = await catalog.publish(replace(with_blob(first, held), tags=(TagWrite("2"),)), LEASE)
        assert again.id == held.id
        assert await catalog.list_tags(hosted, "app", "", 10) == ["1", "2"]

    async def test_bytes_that_were_held_and_are_gone(self, catalog: Catalog, ids: tuple[int, int]) -> None:
        hosted, _ = ids
        gone = Blob(10**9, sha256("m"), 1, 1)
        with pytest.raises(BlobNotFound):
            await catalog.publish(with_blob(release(hosted, "app", "m", "1"), gone), LEASE)
        assert await catalog.list_tags(hosted, "app", "", 10) == []

    async def test_a_path_may_get_other_bytes(self, catalog: Catalog, ids: tuple[int, int]) -> None:
        hosted, _ = ids
        await catalog.publish(release(hosted, "app", "old", version="1.0"), LEASE)
        await catalog.publish(release(hosted, "app", "new", version="1.0"), LEASE)
        file = await catalog.find_file(hosted, "app/manifests/1.0")
        assert file is not None
        assert file.blob.digest == sha256("new")
        assert await catalog.find_version_file(hosted, "app", sha256("old")) is None

    async def test_missing_content_is_named_and_nothing_is_written(
        self, catalog: Catalog, ids: tuple[int, int]
    ) -> None:
        hosted, other = ids
        await catalog.add_blob(new_blob("there"), hosted, "app", LEASE)
        await catalog.add_blob(new_blob("elsewhere"), other, "app", LEASE)
        child = Reference(sha256("child"), "child", required=False)
        needs = (layer("there"), layer("absent"), child, layer("elsewhere"))
        with pytest.raises(MissingReferences) as caught:
            await catalog.publish(release(hosted, "app", "m", "1", needs=needs), LEASE)
        assert caught.value.digests == (sha256("absent"), sha256("elsewhere"))
        with pytest.raises(MissingReferences):
            await catalog.publish(release(hosted, "new", "m", "1", needs=(layer("there"),)), LEASE)
        assert await catalog.find_blob(sha256("m")) is None
        assert await catalog.list_tags(hosted, "app", "", 10) == []
        assert await catalog.has_package(hosted, "new") is False
        await catalog.publish(release(hosted, "app", "m", "1", needs=(layer("there"), child)), LEASE)

    async def test_a_reference_by_another_digest_is_content_too(
        self, catalog: Catalog, ids: tuple[int, int]
    ) -> None:
        hosted, _ = ids
        await catalog.add_blob(new_blob("layer", sha512("layer")), hosted, "app", LEASE)
        need = Reference(sha512("layer"), "layer", required=True)
        await catalog.publish(release(hosted, "app", "m", needs=(need,)), LEASE)

    async def test_a_version_under_sha512_is_found_by_both(
        self, catalog: Catalog, ids: tuple[int, int]
    ) -> None:
        hosted, _ = ids
        await catalog.publish(release(hosted, "app", "m"), LEASE)
        assert await catalog.find_version_file(hosted, "app", sha512("m")) is None
        long = with_blob(release(hosted, "app", "m", version=sha512("m")), new_blob("m", sha512("m")))
        await catalog.publish(long, LEASE)
        by_sha512 = await catalog.find_version_file(hosted, "app", sha512("m"))
        by_sha256 = await catalog.find_version_file(hosted, "app", sha256("m"))
        assert by_sha512 is not None
        assert by_sha256 is not None
        assert (by_sha512.version, by_sha256.version) == (sha512("m"), sha256("m"))
        assert by_sha512.blob == by_sha256.blob
        await catalog.delete_version(hosted, "app", sha256("m"))
        assert await catalog.find_version_file(hosted, "app", sha256("m")) == by_sha512

    # -- tags ----------------------------------------------------------------------------------------

    async def test_a_tag_moves_unless_it_may_not(self, catalog: Catalog, ids: tuple[int, int]) -> None:
        hosted, _ = ids
        await catalog.publish(release(hosted, "app", "a", "1"), LEASE)
        await catalog.publish(release(hosted, "app", "b", "1"), LEASE)
        fixed = TagWrite("1", replace=False)
        with pytest.raises(Conflict):
            await catalog.publish(release(hosted, "app", "c", "2", fixed), LEASE)
        assert await catalog.list_tags(hosted, "app", "", 10) == ["1"]
        assert await catalog.find_version_file(hosted, "app", sha256("c")) is None
        await catalog.publish(release(hosted, "app", "b", fixed), LEASE)
        file = await catalog.find_tagged_file(hosted, "app", "1")
        assert file is not None
        assert file.version == sha256("b")

    async def test_a_tag_moves_when_it_is_where_it_is_expected(
        self, catalog: Catalog, ids: tuple[int, int]
    ) -> None:
        hosted, _ = ids
        await catalog.publish(release(hosted, "app", "a", TagWrite("1", expected="")), LEASE)
        for tag, wrong in (("1", ""), ("1", sha256("b")), ("absent", "*")):
            with pytest.raises(PreconditionFailed):
                await catalog.publish(release(hosted, "app", "b", TagWrite(tag, expected=wrong)), LEASE)
        await catalog.publish(release(hosted, "app", "c", TagWrite("1", expected="*")), LEASE)
        await catalog.publish(release(hosted, "app", "a", TagWrite("1", expected=sha256("c"))), LEASE)
        await catalog.publish(release(hosted, "app", "b", TagWrite("1", expected=sha256("a"))), LEASE)
        file = await catalog.find_tagged_file(hosted, "app", "1")
        assert file is not None
        assert file.version == sha256("b")

    async def test_a_deleted_tag_leaves_its_version(self, catalog: Catalog, ids: tuple[int, int]) -> None:
        hosted, _ = ids
        await catalog.publish(release(hosted, "app", "a", "1", "2"), LEASE)
        assert await catalog.delete_tag(hosted, "app", "1") == sha256("a")
        assert await catalog.delete_tag(hosted, "app", "1") is None
        assert await catalog.delete_tag(hosted, "absent", "1") is None
        assert await catalog.list_tags(hosted, "app", "", 10) == ["2"]
        assert await catalog.find_version_file(hosted, "app", sha256("a")) is not None

    async def test_many_move_one_tag_at_once(self, catalog: Catalog, ids: tuple[int, int]) -> None:
        hosted, _ = ids
        await asyncio.gather(
            *(catalog.publish(release(hosted, "app", f"m{n}", "tip"), LEASE) for n in range(64))
        )
        file = await catalog.find_tagged_file(hosted, "app", "tip")
        assert file is not None
        assert file.version in {sha256(f"m{n}") for n in range(64)}
        assert await catalog.list_tags(hosted, "app", "", 10) == ["tip"]

    # -- deleting ------------------------------------------------------------------------------------

    async def test_what_was_decided_by_a_package_holds_when_it_is_published(
        self, catalog: Catalog, ids: tuple[int, int]
    ) -> None:
        hosted, _ = ids

        async def publish(content: str, seen: int | None) -> None:
            await catalog.publish(replace(release(hosted, "app", content), seen=seen, replace=False), LEASE)

        with pytest.raises(PackageChanged):
            await publish("a", 0)
        assert await catalog.has_package(hosted, "app") is False
        await publish("a", NO_PACKAGE)
        with pytest.raises(PackageChanged):
            await publish("b", NO_PACKAGE)
        package = await catalog.find_package(hosted, "app")
        assert package is not None
        await catalog.update_package(hosted, "app", b'{"status":"archived"}')
        with pytest.raises(PackageChanged):
            await publish("b", package.revision)
        await publish("a", package.revision)  # is there: nothing is written
        now = await catalog.find_package(hosted, "app")
        assert now is not None
        await publish("b", now.revision)
        assert len(await catalog.list_versions(hosted, "app")) == 2

    async def test_bytes_under_two_digests_are_deleted_by_each(
        self, catalog: Catalog, ids: tuple[int, int]
    ) -> None:
        hosted, other = ids
        digests = (sha256("m"), sha512("m"))

        async def push() -> None:
            for tag, digest in zip("12", digests, strict=True):
                made = release(hosted, "app", "m", tag, version=digest)
                await catalog.publish(with_blob(made, new_blob("m", sha512("m"))), LEASE)

        await catalog.publish(release(hosted, "app", "else", "3"), LEASE)
        await catalog.publish(release(other, "app", "m", "1"), LEASE)
        for digest in digests:
            await push()
            with pytest.raises(Conflict):
                await catalog.delete_version(hosted, "app", digest, same_bytes=True, kept="12".__contains__)
            assert await catalog.delete_version(hosted, "app", digest, same_bytes=True)
            for one in digests:
                assert await catalog.find_version_file(hosted, "app", one) is None
                assert await catalog.find_linked_blob(hosted, "app", one) is None
            assert await catalog.list_tags(hosted, "app", "", 10) == ["3"]
            assert [one.name for one in await catalog.list_versions(hosted, "app")] == [sha256("else")]
        await push()
        assert await catalog.delete_version(hosted, "app", digests[0])  # this version alone
        assert await catalog.list_tags(hosted, "app", "", 10) == ["2", "3"]
        assert await catalog.find_version_file(other, "app", sha256("m")) is not None

    async def test_a_deleted_version_takes_its_tags_and_its_file(
        self, catalog: Catalog, ids: tuple[int, int]
    ) -> None:
        hosted, _ = ids
        gone, kept = release(hosted, "app", "gone", "1", "2"), release(hosted, "app", "kept", "3")
        await catalog.publish(gone, LEASE)
        await catalog.publish(kept, LEASE)
        assert await catalog.delete_version(hosted, "app", gone.version) is True
        assert await catalog.delete_version(hosted, "app", gone.version) is False
        assert await catalog.delete_version(hosted, "absent", gone.version) is False
        assert await catalog.find_file(hosted, gone.files[0].path) is None
        assert await catalog.find_linked_blob(hosted, "app", sha256("gone")) is None
        assert await catalog.list_tags(hosted, "app", "", 10) == ["3"]
        assert await catalog.find_tagged_file(hosted, "app", "3") is not None

    async def test_what_a_kept_tag_needs_is_not_removed(self, catalog: Catalog, ids: tuple[int, int]) -> None:
        hosted, _ = ids
        await catalog.add_blob(new_blob("layer"), hosted, "app", LEASE)
        await catalog.add_blob(new_blob("other"), hosted, "app", LEASE)
        await catalog.publish(release(hosted, "app", "m", "tip", needs=(layer("layer"),)), LEASE)
        child = Reference(sha256("m"), "child", required=False)
        await catalog.publish(release(hosted, "app", "index", "v1", needs=(child,)), LEASE)
        await catalog.publish(release(hosted, "app", "loose", "2", needs=(layer("other"),)), LEASE)

        def kept(tag: str) -> bool:
            return tag.startswith("v")

        for version in ("index", "m"):
            with pytest.raises(Conflict, match="v1"):
                await catalog.delete_version(hosted, "app", sha256(version), kept=kept)
        with pytest.raises(Conflict, match="v1"):
            await catalog.unlink_blob(hosted, "app", sha256("layer"), kept=kept)
        assert await catalog.list_tags(hosted, "app", "", 10) == ["2", "tip", "v1"]
        assert await catalog.unlink_blob(hosted, "app", sha256("other"), kept=kept)
        assert await catalog.delete_version(hosted, "app", sha256("loose"), kept=kept)
        assert await catalog.delete_version(hosted, "app", sha256("m"), kept=lambda tag: tag == "2")

    async def test_a_package_stays_known_when_its_last_version_goes(
        self, catalog: Catalog, ids: tuple[int, int]
    ) -> None:
        hosted, _ = ids
        await catalog.publish(release(hosted, "app", "m"), LEASE)
        await catalog.delete_version(hosted, "app", sha256("m"))
        assert await catalog.list_packages(hosted, "", 10) == []
        assert await catalog.has_package(hosted, "app") is True
        await catalog.publish(release(hosted, "app", "m"), LEASE)
        assert await catalog.list_packages(hosted, "", 10) == ["app"]

    async def test_a_deleted_version_leaves_content_that_another_needs(
        self, catalog: Catalog, ids: tuple[int, int]
    ) -> None:
        hosted, _ = ids
        await catalog.add_blob(new_blob("layer"), hosted, "app", LEASE)
        await catalog.publish(release(hosted, "app", "m", needs=(layer("layer"),)), LEASE)
        child = Reference(sha256("m"), "child", required=False)
        await catalog.publish(release(hosted, "app", "index", needs=(child,)), LEASE)
        assert await catalog.delete_version(hosted, "app", sha256("m"))
        assert await catalog.find_linked_blob(hosted, "app", sha256("m")) is not None
        assert await catalog.find_linked_blob(hosted, "app", sha256("layer")) is not None
        assert await catalog.find_version_file(hosted, "app", sha256("m")) is None

    # -- listings ------------------------------------------------------------------------------------

    async def test_tags_come_in_pages(self, catalog: Catalog, ids: tuple[int, int]) -> None:
        hosted, other = ids
        await catalog.publish(release(hosted, "app", "m", "b", "a", "C", "a.1", "ä"), LEASE)
        await catalog.publish(release(other, "app", "m", "z"), LEASE)
        assert await catalog.list_tags(hosted, "app", "", 10) == ["C", "a", "a.1", "b", "ä"]
        assert await catalog.list_tags(hosted, "app", "", 2) == ["C", "a"]
        assert await catalog.list_tags(hosted, "app", "a", 2) == ["a.1", "b"]
        assert await catalog.list_tags(hosted, "app", "a.0", 1) == ["a.1"]
        assert await catalog.list_tags(hosted, "app", "ä", 10) == []
        assert await catalog.list_tags(hosted, "app", "", 0) == []
        assert await catalog.list_tags(hosted, "absent", "", 10) == []

    async def test_packages_come_in_pages(self, catalog: Catalog, ids: tuple[int, int]) -> None:
        hosted, other = ids
        for name in ("b", "a", "team/a", "team/b", "team2"):
            await catalog.publish(release(hosted, name, "m"), LEASE)
        await catalog.publish(release(other, "z", "m"), LEASE)
        await catalog.add_blob(new_blob("layer"), hosted, "aa/only-a-blob", LEASE)
        assert await catalog.list_packages(hosted, "", 10) == ["a", "b", "team/a", "team/b", "team2"]
        assert await catalog.list_packages(hosted, "a", 2) == ["b", "team/a"]
        assert await catalog.list_packages(hosted, "team2", 2) == []
        assert await catalog.list_packages(hosted, "", 10, prefix="team/") == ["team/a", "team/b"]
        assert await catalog.list_packages(hosted, "team/a", 10, prefix="team/") == ["team/b"]
        assert await catalog.list_packages(hosted, "", 1, prefix="team/") == ["team/a"]
        assert await catalog.list_packages(hosted, "x", 10, prefix="team/") == []
        assert await catalog.list_packages(hosted, "", 10, prefix="no") == []

    @given(wanted=st.sets(names, max_size=20), after=names, prefix=st.text("aé😀", max_size=2))
    @settings(suppress_health_check=list(HealthCheck))
    def test_listings_are_in_the_order_of_bytes(
        self, tmp_path_factory: pytest.TempPathFactory, wanted: set[str], after: str, prefix: str
    ) -> None:
        async def scenario() -> None:
            catalog = self.make(tmp_path_factory.mktemp("catalog"))
            hosted = (await catalog.sync_repositories([HOSTED]))["hosted"].id
            await catalog.publish(release(hosted, "tagged", "m", *wanted), LEASE)
            await asyncio.gather(*(catalog.publish(release(hosted, name, "m"), LEASE) for name in wanted))
            ordered = sorted(wanted, key=lambda name: name.encode())
            beyond = [name for name in ordered if name.encode() > after.encode()]
            assert await catalog.list_tags(hosted, "tagged", "", 100) == ordered
            assert await catalog.list_tags(hosted, "tagged", after, 5) == beyond[:5]
            packages = sorted({*wanted, "tagged"}, key=lambda name: name.encode())
            assert await catalog.list_packages(hosted, "", 100) == packages
            with_prefix = [
                name for name in packages if name.startswith(prefix) and name.encode() > after.encode()
            ]
            assert await catalog.list_packages(hosted, after, 5, prefix) == with_prefix[:5]
            await catalog.close()

        asyncio.run(scenario())

    async def test_versions_about_another_are_listed_by_their_subject(
        self, catalog: Catalog, ids: tuple[int, int]
    ) -> None:
        hosted, other = ids
        for n in range(5):
            kind = "sbom" if n % 2 else "signature"
            new = release(hosted, "app", f"r{n}", subject="m", kind=kind)
            await catalog.publish(new, LEASE)
        await catalog.publish(release(other, "app", "r9", subject="m"), LEASE)
        await catalog.publish(release(hosted, "app", "m"), LEASE)

        async def page(
            subject: str = "m",
            kind: str | None = None,
            after: str = "",
            limit: int = 10,
            max_bytes: int = 10**6,
        ) -> tuple[list[VersionAbout], bool]:
            return await catalog.list_versions_about(
                hosted, "app", sha256(subject), kind, after, limit=limit, max_bytes=max_bytes
            )

        everything, has_more = await page(limit=5)
        assert not has_more
        assert [r.version for r in everything] == sorted(sha256(f"r{n}") for n in range(5))
        one = next(r for r in everything if r.version == sha256("r1"))
        assert (one.media_type, one.size, one.kind) == ("application/json", 2, "sbom")
        assert one.document == b'{"made of":"r1"}'
        assert await page(after=everything[1].version, limit=2) == (everything[2:4], True)
        assert await page(after=everything[2].version, limit=2) == (everything[3:], False)
        assert await page(kind="sbom") == ([r for r in everything if r.kind == "sbom"], False)
        assert await page(kind="sbom", limit=1) == ([r for r in everything if r.kind == "sbom"][:1], True)
        assert await page("r1") == ([], False)
        size = len(one.document)
        assert await page(max_bytes=2 * size) == (everything[:2], True)
        assert await page(max_bytes=3 * size - 1) == (everything[:2], True)
        assert await page(max_bytes=0) == (everything[:1], True), "one, however large"
        assert await page(after=everything[3].version, max_bytes=0) == (everything[4:], False)
        await catalog.delete_version(hosted, "app", one.version)
        assert one not in (await page())[0]

    async def test_which_paths_have_a_file(self, catalog: Catalog, ids: tuple[int, int]) -> None:
        hosted, other = ids
        paths = [(await self._published(catalog, hosted, text)).files[0].path for text in "ab"]
        assert await catalog.find_paths(hosted, [*paths, "absent", "é"]) == set(paths)
        assert await catalog.find_paths(other, paths) == set()
        assert await catalog.find_paths(hosted, []) == set()

    @staticmethod
    async def _published(catalog: Catalog, repository: int, text: str) -> Release:
        new = release(repository, "app", text)
        await catalog.publish(new, LEASE)
        return new

    # -- blobs ---------------------------------------------------------------------------------------

    async def test_a_blob_is_found_where_it_is_held(self, catalog: Catalog, ids: tuple[int, int]) -> None:
        hosted, other = ids
        new = new_blob("bytes", sha512("bytes"))
        before = time.time()
        blob = await catalog.add_blob(new, hosted, "app", LEASE)
        assert (blob.digest, blob.size, blob.generation) == (new.digest, 5, new.generation)
        assert before + LEASE <= blob.lease_until <= time.time() + LEASE
        for digest in (sha256("bytes"), sha512("bytes")):
            assert await catalog.find_linked_blob(hosted, "app", digest) == blob
            anywhere = await catalog.find_blob(digest)
            assert anywhere is not None
            assert (anywhere.id, anywhere.lease_until) == (blob.id, 0.0)
            assert await catalog.find_linked_blob(other, "app", digest) is None
            assert await catalog.find_linked_blob(hosted, "app2", digest) is None
        assert await catalog.find_blob(sha256("other bytes")) is None
        assert await catalog.find_blob(sha512("other bytes")) is None
        assert await catalog.has_package(hosted, "app") is True
        assert await catalog.list_packages(hosted, "", 10) == []

    async def test_the_first_generation_lives(self, catalog: Catalog, ids: tuple[int, int]) -> None:
        hosted, _ = ids
        first, late = new_blob("bytes"), new_blob("bytes", sha512("bytes"))
        await catalog.add_blob(first, hosted, "app", LEASE)
        live = await catalog.add_blob(late, hosted, "app", 2 * LEASE)
        assert live.generation == first.generation
        assert await catalog.find_linked_blob(hosted, "app", sha512("bytes")) == live
        shorter = await catalog.add_blob(new_blob("bytes"), hosted, "app", 0)
        assert shorter == live  # a lease is never cut short

    async def test_many_push_one_blob_at_once(self, catalog: Catalog, ids: tuple[int, int]) -> None:
        hosted, _ = ids
        blobs = await asyncio.gather(
            *(catalog.add_blob(new_blob("same"), hosted, f"app{n % 4}", LEASE) for n in range(32))
        )
        assert len({(blob.id, blob.generation) for blob in blobs}) == 1
        holders = await catalog.list_blob_holders(sha256("same"), 10)
        assert sorted(holders) == [(hosted, f"app{n}") for n in range(4)]
        assert len(await catalog.list_blob_holders(sha256("same"), 2)) == 2
        assert await catalog.list_blob_holders(sha256("absent"), 10) == []

    async def test_a_blob_is_mounted_from_who_holds_it(self, catalog: Catalog, ids: tuple[int, int]) -> None:
        hosted, other = ids
        blob = await catalog.add_blob(new_blob("bytes"), hosted, "from", LEASE)
        digest = sha256("bytes")
        wrong = [(hosted, "absent"), (other, "from")]
        assert await catalog.mount_blob(digest, wrong, other, "to", LEASE) is None
        assert await catalog.mount_blob(sha256("no"), [(hosted, "from")], other, "to", LEASE) is None
        assert await catalog.has_package(other, "to") is False
        mounted = await catalog.mount_blob(digest, [*wrong, (hosted, "from")], other, "to", LEASE)
        assert mounted is not None
        assert mounted.id == blob.id
        assert await catalog.find_linked_blob(other, "to", digest) == mounted

    async def test_another_digest_that_another_package_makes_known_is_found(
        self, catalog: Catalog, ids: tuple[int, int], tmp_path: Path
    ) -> None:
        hosted, _ = ids
        other = self.make(tmp_path)
        await catalog.add_blob(new_blob("bytes"), hosted, "app", LEASE)
        for one in (catalog, other):
            assert await one.find_linked_blob(hosted, "app", sha512("bytes")) is None
        await other.add_blob(new_blob("bytes", sha512("bytes")), hosted, "elsewhere", LEASE)
        for one in (catalog, other):
            assert await one.find_linked_blob(hosted, "app", sha512("bytes")) is not None

    async def test_a_row_gets_another_object_for_one_that_is_lost(
        self, catalog: Catalog, ids: tuple[int, int]
    ) -> None:
        hosted, other = ids
        [lost] = await catalog.publish(release(hosted, "app", "bytes", "1"), LEASE)
        await catalog.mount_blob(lost.digest, [(hosted, "app")], other, "to", LEASE)
        found = await catalog.put_file(
            hosted, NewFile(path="alone", media_type="text/plain", blob=lost), replace=False
        )
        assert found.generation == lost.generation

        async def generations() -> list[int | None]:
            linked = await catalog.find_linked_blob(other, "to", lost.digest)
            tagged = await catalog.find_tagged_file(hosted, "app", "1")
            alone = await catalog.find_file(hosted, "alone")
            known = [linked, tagged and tagged.blob, alone and alone.blob]
            return [blob and blob.generation for blob in (*known, await catalog.find_blob(lost.digest))]

        assert await generations() == [lost.generation] * 4
        new, late = new_blob("bytes"), new_blob("bytes")
        now = await catalog.replace_object(lost, new)
        assert now == replace(lost, generation=new.generation, lease_until=0.0)
        assert await generations() == [new.generation] * 4
        assert await catalog.replace_object(lost, late) == now  # the other one was first
        assert await catalog.replace_object(lost, new_blob("never seen")) is None
        assert await generations() == [new.generation] * 4

    async def test_an_unlinked_blob_stays_with_others(self, catalog: Catalog, ids: tuple[int, int]) -> None:
        hosted, _ = ids
        await catalog.add_blob(new_blob("bytes"), hosted, "a", LEASE)
        await catalog.add_blob(new_blob("bytes"), hosted, "b", LEASE)
        assert await catalog.unlink_blob(hosted, "a", sha256("bytes")) is True
        assert await catalog.unlink_blob(hosted, "a", sha256("bytes")) is False
        assert await catalog.unlink_blob(hosted, "absent", sha256("bytes")) is False
        assert await catalog.unlink_blob(hosted, "a", sha256("absent")) is False
        assert await catalog.find_linked_blob(hosted, "a", sha256("bytes")) is None
        assert await catalog.find_linked_blob(hosted, "b", sha256("bytes")) is not None
        assert await catalog.unlink_blob(hosted, "b", sha256("bytes")) is True
        assert await catalog.find_blob(sha256("bytes")) is not None  # only collection removes

    async def test_leases_are_renewed_never_cut(self, catalog: Catalog, ids: tuple[int, int]) -> None:
        hosted, other = ids
        blob = await catalog.add_blob(new_blob("bytes"), hosted, "app", LEASE)
        strangers = [(other, "app", sha256("bytes")), (hosted, "app", sha256("absent"))]
        await catalog.renew_leases([*strangers, (hosted, "app", sha256("bytes"))], 10 * LEASE)
        renewed = await catalog.find_linked_blob(hosted, "app", sha256("bytes"))
        assert renewed is not None
        assert renewed.lease_until > blob.lease_until + 8 * LEASE
        await catalog.renew_leases([(hosted, "app", sha256("bytes"))], 0)
        assert await catalog.find_linked_blob(hosted, "app", sha256("bytes")) == renewed
        await catalog.renew_leases([], LEASE)
        assert await catalog.find_linked_blob(other, "app", sha256("bytes")) is None

    # -- uploads -------------------------------------------------------------------------------------

    async def test_the_life_of_an_upload(self, catalog: Catalog, ids: tuple[int, int]) -> None:
        hosted, _ = ids
        opened = await catalog.open_upload("u1", hosted, "app", "sha256", 10)
        assert await catalog.find_upload("u1") == opened
        assert (opened.offset, opened.hashes, opened.package) == (0, {}, "app")
        assert await catalog.has_package(hosted, "app") is True
        assert await catalog.save_upload("u1", 5 << 40, {"sha256": "ab", "xxh3": "cd"}) is True
        saved = await catalog.find_upload("u1")
        assert saved is not None
        assert (saved.offset, saved.hashes) == (5 << 40, {"sha256": "ab", "xxh3": "cd"})
        assert saved.updated_at >= opened.updated_at
        await catalog.add_blob(new_blob("bytes"), hosted, "app", LEASE, "u1")
        assert await catalog.find_upload("u1") is None
        assert await catalog.save_upload("u1", 1, {}) is False
        assert await catalog.close_upload("u1") is False

    async def test_other_processes_see_where_an_upload_stands(
        self, catalog: Catalog, ids: tuple[int, int], tmp_path: Path
    ) -> None:
        hosted, _ = ids
        other = self.make(tmp_path)
        opened = await catalog.open_upload("u1", hosted, "app", "sha256", 10)
        assert await other.find_upload("u1") == opened
        await other.save_upload("u1", 5, {})
        for _ in range(2):  # read, then recalled
            assert (await catalog.find_upload("u1") or opened).offset == 5
        await catalog.close_upload("u1")
        assert await other.find_upload("u1") is None
        await catalog.open_upload("u2", hosted, "app", "sha256", 10)
        await other.add_blob(new_blob("bytes"), hosted, "app", LEASE, "u2")
        assert await catalog.find_upload("u2") is None

    async def test_a_package_of_abandoned_uploads_goes_with_the_last(
        self, catalog: Catalog, ids: tuple[int, int], tmp_path: Path
    ) -> None:
        hosted, _ = ids
        other = self.make(tmp_path)
        for number in "12":
            await catalog.open_upload(number, hosted, "app", "sha256", 10)
        for number in "12":
            found = await other.find_package(hosted, "app")
            assert found is not None
            assert found.owned
            assert await catalog.close_upload(number) is True
        assert await other.find_package(hosted, "app") is None
        assert await other.list_owned_packages(hosted, "", 10) == []

    @pytest.mark.parametrize("use", ["blob", "mount", "publish", "claim", "before"])
    async def test_a_package_that_got_something_outlives_its_uploads(
        self, catalog: Catalog, ids: tuple[int, int], use: str
    ) -> None:
        hosted, _ = ids
        await catalog.add_blob(new_blob("there"), hosted, "from", LEASE)
        if use == "before":
            await catalog.publish(release(hosted, "app", "m"), LEASE)
        for number in "12":
            await catalog.open_upload(number, hosted, "app", "sha256", 10)
        if use == "blob":
            await catalog.add_blob(new_blob("bytes"), hosted, "app", LEASE, "1")
        elif use == "mount":
            await catalog.mount_blob(sha256("there"), [(hosted, "from")], hosted, "app", LEASE)
        elif use == "publish":
            await catalog.publish(release(hosted, "app", "m"), LEASE)
        elif use == "claim":
            await catalog.claim_package(hosted, "app")
        await catalog.delete_version(hosted, "app", sha256("m"))
        await catalog.unlink_blob(hosted, "app", sha256("bytes"))
        for number in "12":
            await catalog.close_upload(number)
        found = await catalog.find_package(hosted, "app")
        assert found is not None
        assert found.owned

    async def test_an_upload_ends_once(self, catalog: Catalog, ids: tuple[int, int]) -> None:
        hosted, _ = ids
        await catalog.open_upload("u1", hosted, "app", "sha256", 10)
        assert await catalog.close_upload("u1") is True
        with pytest.raises(UploadNotFound):
            await catalog.add_blob(new_blob("bytes"), hosted, "new", LEASE, "u1")
        assert await catalog.find_blob(sha256("bytes")) is None
        assert await catalog.has_package(hosted, "new") is False

    async def test_uploads_are_limited_counted_and_swept(
        self, catalog: Catalog, ids: tuple[int, int]
    ) -> None:
        hosted, _ = ids
        for n in range(3):
            await catalog.open_upload(f"u{n}", hosted, "app", "sha256", 3)
        with pytest.raises(TooManyRequests):
            await catalog.open_upload("u3", hosted, "app", "sha256", 3)
        assert await catalog.count_uploads() == 3
        assert await catalog.list_idle_uploads(LEASE, 10) == []
        await catalog.save_upload("u0", 1, {})
        idle = await catalog.list_idle_uploads(0, 10)
        assert [upload.id for upload in idle] == ["u1", "u2", "u0"]
        assert await catalog.list_idle_uploads(0, 1) == idle[:1]
        await catalog.close_upload("u1")
        await catalog.open_upload("u3", hosted, "app", "sha256", 3)

    async def test_a_session_of_a_clock_that_was_wrong_is_idle(
        self, catalog: Catalog, ids: tuple[int, int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hosted, _ = ids
        await catalog.open_upload("now", hosted, "app", "sha256", 3)
        ahead = time.time() + 1e9
        with monkeypatch.context() as patch:
            patch.setattr(time, "time", lambda: ahead)
            await catalog.open_upload("later", hosted, "app", "sha256", 3)
        assert [upload.id for upload in await catalog.list_idle_uploads(LEASE, 10)] == ["later"]

    async def test_uploads_of_one_owner_are_limited(self, catalog: Catalog, ids: tuple[int, int]) -> None:
        hosted, _ = ids

        async def opens(number: int, owner: str) -> bool:
            try:
                await catalog.open_upload(f"u{number}", hosted, "app", "sha256", 6, owner, 2)
            except TooManyRequests:
                return False
            return True

        assert [await opens(number, "ann") for number in range(3)] == [True, True, False]
        assert [await opens(number, "bob") for number in range(3, 6)] == [True, True, False]
        assert [await opens(number, "") for number in range(6, 9)] == [True, True, False]
        await catalog.close_upload("u0")
        assert await opens(9, "ann")

    # -- tokens and secrets --------------------------------------------------------------------------

    async def test_a_token_comes_back_as_it_was_stored(self, catalog: Catalog) -> None:
        scopes = (Scope("docker", "team/*", frozenset({"read", "delete"})), Scope())
        made = token(1, "alice", role="write", scopes=scopes, description="for „CI“\n", expires_at=5.5)
        await catalog.add_token(made)
        for _ in range(2):  # read, then recalled
            assert await catalog.find_token(made.secret_hash) == made
            assert await catalog.find_token_by_id(made.id) == made
        assert await catalog.find_token(made.id) is None
        assert await catalog.find_token_by_id(made.secret_hash) is None

    async def test_tokens_are_listed_by_owner_and_page(self, catalog: Catalog) -> None:
        owners = ["alice", "bob", "alice", "alice"]
        for number, user in enumerate(owners):
            await catalog.add_token(token(number, user))
        assert [one.user for one in await catalog.list_tokens(None, "", 10)] == owners
        first = await catalog.list_tokens("alice", "", 2)
        assert [one.id for one in first] == [token(0, "").id, token(2, "").id]
        assert [one.id for one in await catalog.list_tokens("alice", first[-1].id, 2)] == [token(3, "").id]
        assert await catalog.list_tokens("Alice", "", 10) == []
        counted = [(one.user, one.tokens, one.last_used_at) for one in await catalog.token_owners(10)]
        assert counted == [(name, owners.count(name), None) for name in sorted({*owners})]
        assert len(await catalog.token_owners(1)) == 1

    async def test_tokens_that_end_are_found_by_when(self, catalog: Catalog) -> None:
        for number, (user, ends_at) in enumerate(
            [("alice", 30.0), ("bob", 20.0), ("alice", None), ("alice", 10.0), ("alice", 31.0)]
        ):
            await catalog.add_token(token(number, user, expires_at=ends_at))
        for wanted, since, until, limit, expected in (
            (None, 10.0, 30.0, 9, [20.0, 30.0]),
            (None, 0.0, 99.0, 2, [10.0, 20.0]),
            ("alice", 0.0, 30.0, 9, [10.0, 30.0]),
            ("nobody", 0.0, 99.0, 9, []),
        ):
            found = await catalog.ending_tokens(wanted, since, until, limit)
            assert [one.expires_at for one in found] == expected, (wanted, since)

    async def test_only_the_owner_revokes_when_one_is_given(self, catalog: Catalog) -> None:
        made = token(1, "alice")
        await catalog.add_token(made)
        assert await catalog.find_token(made.secret_hash) == made
        assert await catalog.revoke_token(made.id, "mallory") is False
        assert await catalog.find_token(made.secret_hash) == made
        assert await catalog.revoke_token(made.id, "alice") is True
        assert await catalog.find_token(made.secret_hash) is None
        assert await catalog.find_token_by_id(made.id) is None
        assert await catalog.revoke_token(made.id, None) is False

    async def test_a_token_takes_the_place_of_another_one(self, catalog: Catalog) -> None:
        first, second, third = (token(number, "alice") for number in (1, 2, 3))
        await catalog.add_token(first)
        assert await catalog.find_token(first.secret_hash) == first
        assert await catalog.replace_token(first.id, second, 9.5)
        found = await catalog.find_token(first.secret_hash)
        assert found is not None
        assert found.expires_at == 9.5
        assert await catalog.find_token(second.secret_hash) == second
        assert await catalog.replace_token(second.id, third, None)
        assert await catalog.find_token(second.secret_hash) is None
        assert not await catalog.replace_token(second.id, second, None), "nothing to replace"
        assert [one.id for one in await catalog.list_tokens(None, "", 9)] == [first.id, third.id]

    async def test_of_two_uses_of_a_token_the_later_is_remembered(self, catalog: Catalog) -> None:
        await catalog.add_token(token(1, "alice"))
        name = token(1, "").id
        await catalog.note_token_uses({})
        await catalog.note_token_uses({name: 20.0, "absent": 1.0})
        await catalog.note_token_uses({name: 10.0})
        assert [one.last_used_at for one in await catalog.list_tokens(None, "", 10)] == [20.0]

    async def test_what_is_spent_stays_spent_until_its_end(self, catalog: Catalog) -> None:
        assert not await catalog.is_spent("a")
        assert await catalog.spend("a", 10.0, 1.0)
        assert await catalog.is_spent("a")
        assert not await catalog.spend("a", 20.0, 9.0)
        assert await catalog.spend("b", 30.0, 11.0)
        assert not await catalog.is_spent("a")
        assert await catalog.is_spent("b")
        spent = await asyncio.gather(*(catalog.spend("c", 30.0, 11.0) for _ in range(8)))
        assert spent.count(True) == 1

    async def test_the_same_token_twice_is_a_failure(self, catalog: Catalog) -> None:
        await catalog.add_token(token(1, "alice"))
        with pytest.raises(StorageFailed):
            await catalog.add_token(token(1, "mallory"))
        assert [one.user for one in await catalog.list_tokens(None, "", 10)] == ["alice"]

    async def test_a_secret_is_made_once(self, catalog: Catalog, tmp_path: Path) -> None:
        other = self.make(tmp_path)
        made = await asyncio.gather(*(one.secret("sessions") for one in (catalog, other) * 4))
        assert len(set(made)) == 1
        assert len(made[0]) == 32
        assert await catalog.secret("other") != made[0]
        await other.close()

    # -- the engine ----------------------------------------------------------------------------------

    async def test_check_and_close(self, catalog: Catalog) -> None:
        await catalog.check()
        await catalog.check()
        await catalog.close()
        await catalog.close()

    async def test_what_was_written_is_there_after_close(self, catalog: Catalog, tmp_path: Path) -> None:
        hosted = (await catalog.sync_repositories([HOSTED]))["hosted"].id
        await catalog.publish(release(hosted, "app", "m", "1"), LEASE)
        waiting = asyncio.gather(
            *(catalog.publish(release(hosted, "app", f"m{n}", f"t{n}"), LEASE) for n in range(50))
        )
        await asyncio.sleep(0)
        await catalog.close()  # finishes what is queued
        await waiting
        again = self.make(tmp_path)
        assert len(await again.list_tags(hosted, "app", "", 100)) == 51
        await again.close()
