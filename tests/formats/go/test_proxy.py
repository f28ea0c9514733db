"""Modules of upstreams: passed on as they are, fetched once, and told apart from absences and failures."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from nora.errors import UpstreamFailed
from nora.formats.go.samples import module_zip
from tests.formats.go.wire import fetched, kept, module_path, path_of, publish, published, versions
from tests.support.answers import Answer, document
from tests.support.go_modules import Module, ModuleProxy
from tests.support.guides import Guide
from tests.support.in_process import add_token, application
from tests.support.upstream import Upstream
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


@pytest.fixture
def proxy(upstream: Upstream) -> ModuleProxy:
    found = ModuleProxy()
    found.mount(upstream)
    return found


def asked(upstream: Upstream) -> Counter[str]:
    """How often for what of modules; not escaped as in an address."""
    paths = (path.replace("%21", "!").lstrip("/") for path in upstream.log.paths("GET"))
    return Counter(path for path in paths if not path.startswith("sumdb/"))


async def test_files_are_passed_on_and_fetched_once(
    upstream: Upstream, proxy: ModuleProxy, tmp_path: Path
) -> None:
    module = proxy.add(Module("example.com/Lib/v2", "v2.0.0-Beta"))
    async with application(tmp_path, NORA_GO_PROXY=upstream.url) as http:
        for kind, content in (("info", module.info), ("mod", module.go_mod), ("zip", module.body)):
            bodies = await asyncio.gather(*(fetched(http, module, kind) for _ in range(8)))
            assert set(bodies) == {content}, kind
        await kept(http, module)
        assert (await http.get(path_of(module, "ziphash"))).text.startswith("h1:")
        answer = await http.get(path_of(module, "mod"))
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["content-type"].startswith("text/plain")
    assert asked(upstream) == dict.fromkeys((module.url(kind) for kind in ("info", "mod", "zip")), 1)


async def test_lists_branches_and_latest_are_asked_for_again_in_time(
    upstream: Upstream, proxy: ModuleProxy, tmp_path: Path
) -> None:
    module = proxy.add(Module("example.com/lib"))
    proxy.query(module.path, "main", "v1.0.1-0.20240101000000-abcdef123456")
    proxy.query(module.path, "latest", "v1.0.0")
    paths = ("@v/list", "@latest", "@v/main.info")
    for ttl, most in (("60", 1), ("0", 3)):
        upstream.log.clear()
        async with application(tmp_path / ttl, NORA_GO_PROXY=upstream.url, NORA_GO_METADATA_TTL=ttl) as http:
            for _ in range(3):
                for path in paths:
                    assert (await http.get(module_path(module, path))).status_code == 200
        assert asked(upstream)[f"{module.path}/@v/main.info"] == most


async def test_an_absence_is_remembered_for_each_path(
    upstream: Upstream, proxy: ModuleProxy, tmp_path: Path
) -> None:
    """The go command asks for all paths in which a package might be a module, at once."""
    module = proxy.add(Module("example.com/Foo/bar"))
    async with application(tmp_path, NORA_GO_PROXY=upstream.url) as http:
        for _ in range(3):
            for path in ("example.com", "example.com/!foo", "example.com/!foo/bar/sub"):
                for what in ("@v/list", "@v/v1.0.0.info", "@v/main.info"):
                    answer = await http.get(f"/go/{path}/{what}")
                    assert (answer.status_code, answer.text[:10]) == (404, "not found:")
            assert await versions(http, module) == ["v1.0.0"]
    assert set(asked(upstream).values()) == {1}


async def test_a_failure_is_no_absence(upstream: Upstream, proxy: ModuleProxy, tmp_path: Path) -> None:
    """404 and 410 would let the go command ask somebody else, who may have other bytes."""
    module = proxy.add(Module("example.com/lib"))
    env = {
        "NORA_GO_PROXY": upstream.url,
        "NORA_PROXY_RETRIES": "0",
        "NORA_CB_ENABLED": "false",
    }
    paths = [module_path(module, what) for what in ("@v/list", "@v/main.info", "@latest")]
    paths += [path_of(module, kind) for kind in ("info", "mod", "zip")]
    async with application(tmp_path, **env) as http:
        for status in (400, 401, 403, 429, 500, 502):
            upstream.fault = Answer(status=status, body=b"no")
            for path in paths:
                answer = await http.get(path)
                assert answer.status_code in (502, 503), (status, path)
        upstream.fault = None

        async def is_well() -> bool:
            return (await http.get(path_of(module, "info"))).status_code == 200

        await until(is_well, "the upstream to be asked again")  # 429: it is left alone for a moment
        assert await fetched(http, module, "info") == module.info
        for status in (404, 410):
            upstream.serve("/example.com/other/@v/list", Answer(status=status))
            assert (await http.get("/go/example.com/other/@v/list")).status_code == 404


async def test_what_fails_once_is_tried_again(upstream: Upstream, proxy: ModuleProxy, tmp_path: Path) -> None:
    """The go command itself tries nothing again."""
    module = proxy.add(Module("example.com/lib"))
    for kind in ("info", "mod", "zip"):
        upstream.once(f"/{module.url(kind)}", Answer(status=500))
    upstream.once("/example.com/lib/@v/list", Answer(status=503))
    async with application(tmp_path, NORA_GO_PROXY=upstream.url) as http:
        assert await versions(http, module) == ["v1.0.0"]
        for kind, content in (("info", module.info), ("mod", module.go_mod), ("zip", module.body)):
            assert await fetched(http, module, kind) == content


async def test_a_zip_that_is_not_right_is_not_kept(
    upstream: Upstream, proxy: ModuleProxy, tmp_path: Path
) -> None:
    right = Module("example.com/lib")
    other = module_zip("example.com/other", "v1.0.0", right.files)
    damaged = right.body.replace(b"PK\x05\x06", b"PK\x05\x07")
    bodies = [
        *(document(body) for body in (other, damaged, b"<html>", b"")),
        *(document(right.body, cut=len(right.body) - 20),),
    ]
    proxy.add(right)
    for number, answer in enumerate(bodies):
        async with application(tmp_path / str(number), NORA_GO_PROXY=upstream.url) as http:
            upstream.once(f"/{right.url('zip')}", *[answer] * 8)
            with suppress(UpstreamFailed):  # what cuts the answer, where there is no wire
                got = await http.get(path_of(right))
                assert got.status_code in (502, 503) or got.content == right.body, number
            upstream._once.clear()
            for _ in range(50):
                if (await http.get(path_of(right, "mod"))).status_code == 200:
                    break
            assert await fetched(http, right) == right.body, number


async def test_without_verification_a_zip_is_passed_on_as_it_is(
    upstream: Upstream, proxy: ModuleProxy, tmp_path: Path
) -> None:
    module = proxy.add(Module("example.com/lib"), body=b"anything")
    async with application(tmp_path, NORA_GO_PROXY=upstream.url, NORA_GO_VERIFY="false") as http:
        assert await fetched(http, module) == b"anything"


async def test_what_is_none_of_it_is_no_answer(
    upstream: Upstream, proxy: ModuleProxy, tmp_path: Path
) -> None:
    page = document(b"<html>Log in</html>", "text/html")
    module = Module("example.com/lib")
    async with application(tmp_path, NORA_GO_PROXY=upstream.url, NORA_PROXY_RETRIES="0") as http:
        for what in ("@v/list", "@v/main.info", "@v/v1.0.0.info"):
            upstream.serve(f"/example.com/lib/{what}", page)
            assert (await http.get(module_path(module, what))).status_code == 502, what
        upstream.serve("/example.com/lib/@v/v1.0.1.info", document(b'{"Version":"v1.0.0"}'))
        assert (await http.get(module_path(module, "@v/v1.0.1.info"))).status_code == 502


async def test_latest_is_what_the_upstream_says_or_the_newest(
    upstream: Upstream, proxy: ModuleProxy, tmp_path: Path
) -> None:
    commit = "v0.0.0-20240101000000-abcdef123456"
    untagged = proxy.add(Module("example.com/untagged", commit), listed=False)
    proxy.query(untagged.path, "latest", commit)
    tagged = [proxy.add(Module("example.com/tagged", version)) for version in ("v1.0.0", "v1.1.0-rc.1")]
    async with application(tmp_path, NORA_GO_PROXY=upstream.url) as http:
        assert await versions(http, untagged) == []
        assert (await http.get(module_path(untagged, "@latest"))).json()["Version"] == commit
        assert (await http.get(module_path(tagged[0], "@latest"))).content == tagged[0].info


async def test_the_newest_of_many_is_not_looked_for_on_the_loop(
    upstream: Upstream, proxy: ModuleProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights: list[int] = []

    async def offload(function: Callable[..., Any], *arguments: Any, weight: int = 0) -> Any:
        weights.append(weight)
        return function(*arguments)

    monkeypatch.setattr("nora.formats.go.versions.offload", offload)
    newest = proxy.add(Module("example.com/lib", "v1.2000.0"))
    listed = "".join(f"v1.{number}.0\n" for number in range(2001)).encode()
    upstream.serve("/example.com/lib/@v/list", document(listed, "text/plain"))
    async with application(tmp_path, NORA_GO_PROXY=upstream.url) as http:
        assert (await http.get(module_path(newest, "@latest"))).content == newest.info
    assert weights == [len(listed)]


async def test_a_latest_that_cannot_be_asked_for_is_no_absence(
    upstream: Upstream, proxy: ModuleProxy, tmp_path: Path
) -> None:
    proxy.add(Module("example.com/untagged", "v0.0.0-20240101000000-abcdef123456"), listed=False)
    tagged = proxy.add(Module("example.com/tagged"))
    for path in ("untagged", "tagged"):
        upstream.serve(f"/example.com/{path}/@latest", Answer(status=500))
    async with application(tmp_path, NORA_GO_PROXY=upstream.url, NORA_PROXY_RETRIES="0") as http:
        assert (await http.get("/go/example.com/untagged/@latest")).status_code in (502, 503)
        assert (await http.get("/go/example.com/tagged/@latest")).content == tagged.info


async def test_what_is_ours_is_asked_of_nobody(
    upstream: Upstream, proxy: ModuleProxy, tmp_path: Path
) -> None:
    """Nor what may be a module in it, nor - where all of a domain is reserved - what it is in."""
    for path in ("corp.example", "corp.example/team", "corp.example/team/lib", "corp.example/team/lib/v2"):
        proxy.add(Module(path, "v2.0.0" if path.endswith("v2") else "v1.9.0"))
    ours = Module("corp.example/team/lib")
    probes = ("corp.example/team/lib", "corp.example/team/lib/v2", "corp.example/team/lib/internal/x")
    async with application(tmp_path / "a", NORA_GO_PROXY=upstream.url) as http:
        await published(http, ours)
        for path in probes:
            for what in ("@v/list", "@latest", "@v/main.info", "@v/v1.9.0.info", "@v/v1.9.0.zip"):
                for prefix in ("", "/r/go-proxy"):
                    answer = await http.get(f"{prefix}/go/{path}/{what}")
                    assert b"1.9.0" not in answer.content.partition(b"there is no")[0]
        assert await versions(http, ours) == ["v1.0.0"]
    assert upstream.log.paths() == []
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "config.toml").write_text(Guide("go").block("toml", "Modules of your own"))
    async with application(tmp_path / "b", NORA_GO_PROXY=upstream.url) as http:
        for path in (*probes, "corp.example/team", "corp.example"):
            for what in ("@v/list", "@latest", "@v/main.info", "@v/v1.9.0.mod"):
                assert (await http.get(f"/go/{path}/{what}")).status_code == 404
    assert upstream.log.paths() == []


async def test_what_becomes_ours_is_not_given_again_from_memory(
    upstream: Upstream, proxy: ModuleProxy, tmp_path: Path
) -> None:
    inner = proxy.add(Module("corp.example/lib/sub"))
    async with application(tmp_path, NORA_GO_PROXY=upstream.url) as http:
        for _ in range(3):
            await kept(http, inner)
        await published(http, Module("corp.example/lib"))
        for kind in ("info", "mod", "zip"):
            assert (await http.get(path_of(inner, kind))).status_code == 404
        assert (await http.get(module_path(inner, "@v/list"))).status_code == 404


async def test_paths_that_are_none_reach_nobody(
    upstream: Upstream, proxy: ModuleProxy, tmp_path: Path
) -> None:
    async with application(tmp_path, NORA_GO_PROXY=upstream.url) as http:
        for path in (
            *(
                "%2e%2e/x.y/@v/list",
                "%252e%252e/x/@v/list",
                "a.b//c/@v/list",
            ),
            *("a.b/%00/@v/list", "a.b/!A/@v/list", "a.b/!!a/@v/list", "a.b/A/@v/list", "a.b/c/@v/!.info"),
            *(
                "a.b%2fc/@v/list",
                "a.b\\c/@v/list",
                "a.b/%ff/@v/list",
                "a.b/c/@v/%2e%2e.info",
                "a.b/v1/@v/list",
            ),
            *("a/@v/list", "@v/list", "@latest", "a.b/@v/", "a.b/@v", "a.b/c/@v/v1.0.0.zip/x", "a.b/..zip"),
            *(f"a.b/{'x' * 2000}/@v/list", "a.b/c/@v/x:y.info", "a.b/c d/@v/list", "a.b/@v/@v/list"),
        ):
            answer = await http.get(f"http://localhost/go/{path}")
            assert answer.status_code in (400, 404, 405), path
            assert answer.headers["content-type"].startswith("text/plain"), path
    assert upstream.log.paths() == []


async def test_an_upstream_below_a_path_and_escapes_in_its_addresses(
    upstream: Upstream, tmp_path: Path
) -> None:
    proxy = ModuleProxy(prefix="/repository/go")
    proxy.mount(upstream)
    module = proxy.add(Module("example.com/Some", "v2.0.0+incompatible"))
    async with application(tmp_path, NORA_GO_PROXY=f"{upstream.url}/repository/go/") as http:
        assert await versions(http, module) == [module.version]
        assert await fetched(http, module) == module.body
    assert upstream.log.paths()[-1] == "/repository/go/example.com/%21some/@v/v2.0.0+incompatible.zip"


async def test_what_an_upstream_has_is_not_taken_by_what_it_is_in(
    upstream: Upstream, proxy: ModuleProxy, tmp_path: Path
) -> None:
    """Nor by what is in it: go takes a package from the longest path that has it."""
    module = proxy.add(Module("example.com/them/lib"))
    token = await add_token(tmp_path, "write")
    env = {"NORA_GO_PROXY": upstream.url, "NORA_AUTH_ENABLED": "true"}
    async with application(tmp_path, **env) as http:
        http.headers["authorization"] = f"Bearer {token}"
        assert await versions(http, module) == ["v1.0.0"]
        for path in ("example.com/them", "example.com/them/lib", "example.com/them/lib/sub"):
            answer = await publish(http, Module(path))
            assert (answer.status_code, "example.com/them/lib is served" in answer.text) == (403, True), path
        assert (await publish(http, Module("example.com/them/other"))).status_code == 201
        assert await versions(http, module) == ["v1.0.0"]
