"""What the NORA written in Rust has is published as its formats' clients would publish it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import httpx
import pytest

from nora.errors import BadRequest
from nora.formats import discover
from nora.formats.legacy import Call, LegacyTree, Patterns
from nora.mirror.legacy import Answer, TakenOver, Takeover
from nora.upkeep.progress import Silent
from tests.support.in_process import application
from tests.support.legacy_tree import (
    CRATE,
    LAYER,
    MODULE_ZIP,
    POM,
    WHEEL_NAME,
    Tree,
    npm_tarball,
    sha256,
    whole_tree,
)

pytestmark = pytest.mark.anyio
OWN = ("maven:com.corp:*", "go:corp.example/*")
SKIP = ("gems", "maven:org.else:*", "npm:left-pad", "pypi:flask")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Sent:
    """A server in this process; what it is asked."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http
        self.calls: list[Call] = []

    async def send(self, call: Call) -> Answer:
        self.calls.append(call)

        async def body() -> AsyncIterator[bytes]:
            for one in call.body:
                for piece in [one] if isinstance(one, bytes) else one.pieces():
                    yield piece

        headers = {**call.headers, "content-length": str(call.length)}
        answer = await self._http.request(call.method, call.path, content=body(), headers=headers)
        return Answer(answer.status_code, dict(answer.headers), answer.content)


async def take(
    root: Path, sender: Sent | None, own: Sequence[str] = OWN, skip: Sequence[str] = SKIP
) -> TakenOver:
    tree = LegacyTree(root)
    names = [*(one.name for one in discover()), *tree.folders()]
    takeover = Takeover(tree, sender, Silent())
    return await takeover.run(discover(), Patterns(own, names, "--own"), Patterns(skip, names, "--skip"))


async def test_everything_that_was_published_is_published_and_again_changes_nothing(tmp_path: Path) -> None:
    tree = whole_tree(tmp_path / "old")
    wanted = {
        "/raw/dir/a%20file.txt": b"any bytes",
        "/maven2/com/corp/lib/1.0/lib-1.0.pom": POM,
        "/npm/@corp/tool/-/tool-1.1.0.tgz": npm_tarball("@corp/tool", "1.1.0"),
        "/cargo/api/v1/crates/My-Crate/1.2.0/download": CRATE,
        f"/simple/nora-sample/{WHEEL_NAME}": (tree.root / "pypi/nora-sample" / WHEEL_NAME).read_bytes(),
        "/go/corp.example/!lib/@v/v1.0.0.zip": MODULE_ZIP,
        "/v2/team/app/manifests/latest": (tree.root / "docker/team/app/manifests/1.json").read_bytes(),
        "/v2/team/app/manifests/multi": (tree.root / "docker/team/app/manifests/multi.json").read_bytes(),
        f"/v2/team/app/blobs/sha256:{sha256(LAYER)}": LAYER,
    }
    async with application(tmp_path / "new", NORA_PROXY_MODE="offline") as http:
        first = await take(tmp_path / "old", Sent(http))
        assert first.refused == []
        assert first.there == 0
        for path, body in wanted.items():
            answer = await http.get(path, follow_redirects=True)
            assert (path, answer.status_code, answer.content == body) == (path, 200, True)
        await look_at_documents(http)
        left = {one.title for one in first.left}
        assert left >= {"docker docker.io/library/alpine", "cargo serde", "go golang.example/x", "gems"}
        assert left >= {"maven org.else:lib", "npm left-pad", "pypi flask"}
        assert "1 tokens" in first.notes[0]

        sent = Sent(http)
        again = await take(tmp_path / "old", sent)
        assert again.refused == []
        assert again.there == 7  # what is one file each
        assert not [one for one in sent.calls if one.method == "POST" and LAYER in _files(one)]
        await look_at_documents(http)


def _files(call: Call) -> list[bytes]:
    return [one if isinstance(one, bytes) else one.path.read_bytes() for one in call.body]


async def look_at_documents(http: httpx.AsyncClient) -> None:
    packument = (await http.get("/npm/@corp%2ftool")).json()
    assert packument["dist-tags"] == {"latest": "1.1.0", "next": "2.0.0-rc.1"}
    assert packument["readme"] == "# Read me"
    lines = (await http.get("/cargo/index/my/-c/my-crate")).text.splitlines()
    assert ['"yanked":true' in line for line in lines] == [False, True]
    assert '"name":"alias"' in lines[0]
    assert '"package":"real"' in lines[0]
    tags = (await http.get("/v2/team/app/tags/list")).json()["tags"]
    assert tags == ["1", "latest", "multi"]


async def test_what_nobody_can_tell_is_asked_for(tmp_path: Path) -> None:
    whole_tree(tmp_path / "old")
    found = await take(tmp_path / "old", None, own=(), skip=())
    assert [one.title for one in found.refused] == [
        "gems",
        "maven com.corp:lib",
        "maven org.else:lib",
        "npm left-pad",
        "pypi flask",
    ]
    assert "--own maven:com.corp:lib" in found.refused[1].reason
    assert found.published > 0


async def test_what_is_damaged_is_refused_and_the_rest_is_taken(tmp_path: Path) -> None:
    tree = whole_tree(tmp_path / "old")
    layer = f"docker/team/app/blobs/sha256:{sha256(LAYER)}"
    damaged = {
        layer: "docker team/app 1, latest",
        "npm/@corp/tool/tarballs/tool-1.0.0.tgz": "npm @corp/tool 1.0.0",
        "cargo/my-crate/1.2.0/my-crate-1.2.0.crate": "cargo my-crate 1.2.0",
        f"pypi/nora-sample/{WHEEL_NAME}": f"pypi nora-sample {WHEEL_NAME}",
        "maven/com/corp/lib/1.0/lib-1.0.pom": "maven com/corp/lib/1.0/lib-1.0.pom",
        "go/corp.example/!lib/@v/v1.0.0.zip": "go corp.example/Lib v1.0.0",
        "raw/dir/a file.txt": "raw dir/a file.txt",
    }
    for key in damaged:
        tree.put(key, b"other bytes", pinned=False)
    tree.put("raw/also.txt", b"whole")
    (tree.root / "raw/link.txt").symlink_to("/etc/hostname")
    async with application(tmp_path / "new", NORA_PROXY_MODE="offline") as http:
        found = await take(tmp_path / "old", Sent(http))
        reasons = {one.title: one.reason for one in found.refused}
        for key, title in damaged.items():
            assert f"{key} is damaged" in reasons.pop(title)
        assert set(reasons) == {"raw link.txt"}
        assert (await http.get("/raw/also.txt")).content == b"whole"
        assert (await http.get("/npm/@corp%2ftool")).json()["dist-tags"]["latest"] == "1.1.0"


async def test_packages_without_a_file_for_each_version_are_read(tmp_path: Path) -> None:
    tree = Tree(tmp_path / "old")
    data = npm_tarball("plain", "1.0.0")
    tree.put("npm/plain/tarballs/plain-1.0.0.tgz", data)
    tree.put_json(
        "npm/plain/metadata.json",
        {
            "name": "plain",
            "readme": "old",
            "dist-tags": {"latest": "1.0.0"},
            "versions": {
                "1.0.0": {"name": "plain", "version": "1.0.0", "deprecated": "use another", "dist": {}}
            },
        },
    )
    async with application(tmp_path / "new", NORA_PROXY_MODE="offline") as http:
        assert (await take(tmp_path / "old", Sent(http), own=["npm"], skip=())).refused == []
        packument = (await http.get("/npm/plain")).json()
        assert packument["versions"]["1.0.0"]["deprecated"] == "use another"


async def test_pins_are_read_strictly(tmp_path: Path) -> None:
    tree = Tree(tmp_path / "old")
    tree.put("raw/a", b"1")
    pins = tree.root / ".nora-pins.ndjson"
    pins.write_bytes(pins.read_bytes() + b'{"key": "raw/b", "sha')  # cut off by a kill
    assert (await take(tmp_path / "old", None, skip=(), own=())).published == 1
    pins.write_bytes(b"{\n" + pins.read_bytes())
    with pytest.raises(Exception, match="line 1 is no pin"):
        await take(tmp_path / "old", None, skip=(), own=())


async def test_a_format_that_there_is_not_is_no_pattern(tmp_path: Path) -> None:
    Tree(tmp_path / "old")
    with pytest.raises(BadRequest, match="--skip gem:a: FORMAT or"):
        await take(tmp_path / "old", None, own=(), skip=["gem:a"])
