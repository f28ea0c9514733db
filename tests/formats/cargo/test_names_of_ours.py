"""Names that are ours, in all of their spellings: nobody else is asked for them, by whatever path."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from nora.formats.cargo.names import prefix_of
from tests.formats.cargo.wire import API, publication_of
from tests.support.answers import document
from tests.support.crate_index import CrateIndex
from tests.support.in_process import application
from tests.support.upstream import Upstream

pytestmark = pytest.mark.anyio
SPELLED = ("corp-lib", "corp_lib", "Corp-Lib", "CORP_LIB")


def paths(name: str) -> list[str]:
    return [
        f"/cargo/index/{prefix_of(name)}/{name}",
        f"/cargo/index/{prefix_of(name.lower())}/{name.lower()}",
        f"/cargo/dl/{name}/1.0.0/{'0' * 64}.crate",
        *(f"{API}/{name}{more}" for more in ("", "/versions", "/1.0.0", "/1.0.0/download", "/owners")),
        f"{API}/{name}/1.0.0/dependencies",
    ]


async def test_a_reserved_name_is_asked_of_nobody(upstream: Upstream, tmp_path: Path) -> None:
    index = CrateIndex()
    index.mount(upstream)
    for name in SPELLED[:2]:
        index.add(name, "1.0.0")
    (tmp_path / "config.toml").write_text('[proxy]\nreserved = ["Corp-*"]\n')
    async with application(tmp_path, NORA_CARGO_PROXY=upstream.url) as http:
        for name in SPELLED:
            for path in paths(name):
                assert (await http.get(path)).status_code == 404, path
        answer = await http.put(f"{API}/new", content=publication_of("Corp_Lib", "0.1.0"))
        assert answer.status_code == 200
        for name in SPELLED:
            for path in paths(name):
                assert (await http.get(path)).status_code in (200, 404), path
    assert not [path for path in upstream.log.paths() if "corp" in path.lower()]


async def test_what_is_published_is_asked_of_nobody_by_a_mirror_either(
    upstream: Upstream, tmp_path: Path
) -> None:
    """The mirror of crates-io alone shares its source with the group that the name is published in."""
    index = CrateIndex()
    index.mount(upstream)
    index.add("ours", "9.0.0")
    async with application(tmp_path, NORA_CARGO_PROXY=upstream.url) as http:
        assert (await http.put(f"{API}/new", content=publication_of("ours", "1.0.0"))).status_code == 200
        for prefix in ("", "/r/cargo-proxy", "/r/cargo-hosted"):
            answer = await http.get(f"{prefix}/cargo/index/ou/rs/ours")
            assert answer.status_code == (404 if prefix == "/r/cargo-proxy" else 200)
            assert b"9.0.0" not in answer.content
    assert "/ou/rs/ours" not in upstream.log.paths()


@pytest.mark.parametrize(
    "template",
    [
        "{url}/files/{crate}/{version}/{prefix}/{lowerprefix}/{sha256-checksum}",
        "{url}/files/{lowerprefix}/{crate}-{version}.crate",
        "{url}/files",
    ],
)
async def test_a_template_has_all_markers(upstream: Upstream, tmp_path: Path, template: str) -> None:
    index = CrateIndex()
    content = index.add("MyCrate", "1.0.0+b.1")
    checksum = orjson.loads(index.files["mycrate"][0])["cksum"]
    index.mount(upstream)
    dl = template.replace("{url}", upstream.url)
    upstream.serve("/config.json", document(orjson.dumps({"dl": dl})))
    where = {
        "{prefix}": f"/files/MyCrate/1.0.0%2Bb.1/My/Cr/my/cr/{checksum}",
        "-{version}": "/files/my/cr/MyCrate-1.0.0%2Bb.1.crate",
    }
    path = next((path for part, path in where.items() if part in template), "")
    path = path or "/files/MyCrate/1.0.0%2Bb.1/download"
    for one in (path, path.replace("%2B", "+")):
        upstream.serve(one, document(content))
    async with application(tmp_path, NORA_CARGO_PROXY=upstream.url) as http:
        for plus in ("+", "%2B"):
            answer = await http.get(f"/cargo/dl/MyCrate/1.0.0{plus}b.1/{checksum}.crate")
            assert (answer.status_code, answer.content) == (200, content)
    asked = [one for one in upstream.log.paths("GET") if one.startswith("/files/")]
    assert {one.replace("+", "%2B") for one in asked} == {path}
