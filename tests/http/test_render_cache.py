"""Documents that are kept ready: in memory, on disk, for all workers."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from blacksheep import Content, Request, Response

from nora.errors import NotFound
from nora.http.context import RequestContext
from nora.http.encodings import Encoding
from nora.http.memory import MemoryCache
from nora.http.render_cache import IDLE_SECONDS, LARGE, USED_SECONDS, RenderCache
from nora.http.send import FileContent

TYPE = b"text/plain"


def render_cache(folder: Path, salt: str = "", reserve_bytes: int = 0, memory: int = 8 << 20) -> RenderCache:
    return RenderCache(MemoryCache(memory), str(folder), salt=salt, reserve_bytes=reserve_bytes)


def making(body: bytes, log: list[bytes] | None = None) -> Callable[[], Awaitable[bytes]]:
    async def make() -> bytes:
        await asyncio.sleep(0)
        if log is not None:
            log.append(body)
        return body

    return make


async def ask(
    one: RenderCache, name: str, make: Callable[[], Awaitable[bytes]], method: str = "GET", etag: str = ""
) -> Response:
    headers = [(b"if-none-match", etag.encode())] if etag else []
    request = Request(method, b"/", headers)
    return await one.response(request, name, make, media_type=TYPE, headers=[(b"x-more", b"1")])


def test_small_ones_are_made_once(tmp_path: Path) -> None:
    async def work() -> None:
        one, log = render_cache(tmp_path), list[bytes]()
        name = one.name("page", 1)
        answers = await asyncio.gather(*(ask(one, name, making(b"body", log)) for _ in range(5)))
        answers.append(await ask(one, name, making(b"another", log)))
        assert log == [b"body"]
        for answer in answers:
            assert isinstance(answer.content, Content)
            assert (answer.status, answer.content.body) == (200, b"body")
            assert answer.get_single_header(b"etag") == f'"{name}"'.encode()
            assert answer.get_single_header(b"x-more") == b"1"
        head = await ask(one, name, making(b"another", log), "HEAD")
        assert head.content is not None
        assert head.content.length == 4

    asyncio.run(work())


def test_large_ones_are_shared(tmp_path: Path) -> None:
    async def work() -> None:
        first, second = render_cache(tmp_path), render_cache(tmp_path)
        body = os.urandom(LARGE + 1)
        name = first.name("page", 1)
        assert name == second.name("page", 1)
        for one in (first, second):
            log: list[bytes] = []
            answer = await ask(one, name, making(body, log))
            assert isinstance(answer.content, FileContent)
            assert Path(answer.content.path).read_bytes() == body
            assert answer.content.length == len(body)
            assert bool(log) == (one is first)

    asyncio.run(work())
    assert len(list(tmp_path.iterdir())) == 1


def test_what_memory_would_not_keep_is_a_file(tmp_path: Path) -> None:
    async def work() -> None:
        one = render_cache(tmp_path, memory=64 << 10)
        for size, kind in ((7000, Content), (9000, FileContent)):
            answer = await ask(one, one.name(size), making(bytes(size)))
            assert type(answer.content) is kind

    asyncio.run(work())


def test_304_needs_no_body(tmp_path: Path) -> None:
    async def work() -> None:
        one, log = render_cache(tmp_path), list[bytes]()
        name = one.name("page", 1)
        for etag in (f'"{name}"', f'W/"{name}"', f'"x", "{name}"', "*"):
            answer = await ask(one, name, making(b"", log), etag=etag)
            assert (answer.status, answer.content) == (304, None)
        assert log == []
        assert (await ask(one, name, making(b"", log), etag='"other"')).status == 200

    asyncio.run(work())


def test_names_say_what_they_depend_on(tmp_path: Path) -> None:
    one = render_cache(tmp_path)
    names = {one.name(*what) for what in (("a", 1), ("a", 2), ("a", "1"), ("a", (1,)), ("a", b"1"), ("b", 1))}
    names.add(render_cache(tmp_path, salt="other").name("a", 1))
    assert len(names) == 7
    assert all(len(name) == 32 for name in names)


def test_what_cannot_be_made(tmp_path: Path) -> None:
    async def fail() -> bytes:
        raise NotFound("no")

    async def work() -> None:
        one = render_cache(tmp_path)
        name = one.name(1)
        with pytest.raises(NotFound, match="no"):
            await ask(one, name, fail)
        assert (await ask(one, name, making(b"body"))).status == 200

    asyncio.run(work())


def test_a_full_disk_is_no_failure(tmp_path: Path) -> None:
    """The reserve is for what must not be lost; this can be made again."""

    async def work() -> None:
        one = render_cache(tmp_path, reserve_bytes=1 << 60)
        answer = await ask(one, one.name(1), making(bytes(LARGE + 1)))
        assert isinstance(answer.content, Content)
        assert not isinstance(answer.content, FileContent)
        gone = render_cache(tmp_path / "gone")
        assert (await ask(gone, gone.name(1), making(bytes(LARGE + 1)))).status == 200

    asyncio.run(work())
    assert list(tmp_path.iterdir()) == []


def test_what_clients_choose_does_not_fill_the_disk(tmp_path: Path) -> None:
    async def work() -> None:
        one = RenderCache(MemoryCache(0), str(tmp_path), salt="", reserve_bytes=0, most_bytes=30_000)
        names = [one.name(f"host-{number}") for number in range(10)]
        for name in names:
            assert (await ask(one, name, making(bytes(10_000)))).status == 200
        assert {path.name for path in tmp_path.iterdir()} == set(names[:3])
        old = time.time() - USED_SECONDS - 1
        os.utime(tmp_path / names[1], (old, old))
        await ask(one, names[9], making(bytes(10_000)))
        assert {path.name for path in tmp_path.iterdir()} == {names[0], names[2], names[9]}

    asyncio.run(work())


def test_sweeping(tmp_path: Path) -> None:
    async def work() -> None:
        one = render_cache(tmp_path)
        old, used = one.name("old"), one.name("used")
        for name in (old, used):
            await ask(one, name, making(bytes(LARGE + 1)))
            os.utime(tmp_path / name, (0, 0))
        await ask(one, used, making(b""))
        await one.sweep()
        assert [path.name for path in tmp_path.iterdir()] == [used]
        assert IDLE_SECONDS >= 900  # a response that is under way opens its file before that

    asyncio.run(work())


def test_a_variant_is_in_the_encoding_that_the_client_likes(tmp_path: Path) -> None:
    async def variant(one: RenderCache, accept: bytes) -> Response:
        async def make(encoding: Encoding) -> bytes:
            return encoding.value.encode()

        request = Request("GET", b"/", [(b"accept-encoding", accept)])
        request.scope = {"query_string": b""}  # type: ignore[typeddict-item]
        context = RequestContext(request, "read")
        more = [(b"x-more", b"1")]
        return await one.variant(context, ("page", 1), make, media_type="text/plain", headers=more)

    async def work() -> None:
        one = render_cache(tmp_path)
        plain, packed = await variant(one, b"identity"), await variant(one, b"gzip")
        for answer, body in ((plain, b"identity"), (packed, b"gzip")):
            assert isinstance(answer.content, Content)
            assert (answer.content.body, answer.content.type) == (body, TYPE)
            assert answer.get_single_header(b"vary") == b"Accept-Encoding"
            assert answer.get_single_header(b"x-more") == b"1"
        assert packed.get_single_header(b"content-encoding") == b"gzip"
        assert not plain.headers.contains(b"content-encoding")
        assert plain.get_single_header(b"etag") != packed.get_single_header(b"etag")

    asyncio.run(work())
