"""The lines of the caches of Python packages: a page of many files, and a large wheel, both warm."""

from __future__ import annotations

import hashlib
import re
import time
import zlib
from urllib.parse import urljoin, urlsplit

import orjson

from benches.registries import generators, upstreams
from benches.registries.generators import Fetch, Load, LoadFailed
from benches.registries.lines import LARGE_READERS, Line
from benches.registries.python_rivals import SIMPLE
from benches.registries.rivals import Running
from benches.registries.seed import Sizes
from benches.registries.wire import Answer, Wire
from tests.support.wheels import Built

# As pip sends them.
ACCEPT = (
    "Accept: application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1, "
    "text/html; q=0.01\r\n"
)
PAGE_HEADERS = f"{ACCEPT}Accept-Encoding: gzip, deflate\r\n"
FILE_HEADERS = "Accept-Encoding: identity\r\n"
READERS = 16
COLD_SECONDS = 20.0


def project_page(server: Running, sizes: Sizes, seconds: float) -> Load:
    """GET of the page of a project with many files, compressed if the server can."""
    path = f"{SIMPLE[server.registry.name]}{upstreams.MANY}/"
    with Wire(server.address) as wire:
        answer = wire.ask("GET", path, PAGE_HEADERS).expect(200)
    listed = {link.rpartition("/")[2] for link in links(answer)}
    expected = {one.filename for one in upstreams.many(sizes.project_files)}
    if listed != expected:
        raise LoadFailed(f"{path} lists {len(listed)} files of {len(expected)}")
    fetch = Fetch([path], answer.size, PAGE_HEADERS, connections=READERS, verify=False)
    return generators.wrk(server.url, fetch, seconds)


def wheel(server: Running, sizes: Sizes, seconds: float) -> Load:
    """GET of a large wheel."""
    built = upstreams.heavy(sizes.wheel)
    path = file_path(server, built)
    deadline = time.monotonic() + COLD_SECONDS
    with Wire(server.address) as wire:
        # proxpi sends its clients to the upstream while it is still fetching.
        while (answer := wire.ask("GET", path, FILE_HEADERS, keep=False, digest=True)).status in (302, 307):
            if time.monotonic() > deadline:
                raise LoadFailed(f"{path} is redirected for ever")
            time.sleep(0.2)
    found = answer.expect(200).sha256 or hashlib.sha256(answer.body).hexdigest()
    if found != built.sha256:
        raise LoadFailed(f"{path}: other bytes")
    fetch = Fetch([path], len(built.body), FILE_HEADERS, connections=LARGE_READERS, verify=False)
    return generators.wrk(server.url, fetch, seconds)


def file_path(server: Running, built: Built) -> str:
    """Where the server says that a file is."""
    page = f"{SIMPLE[server.registry.name]}{built.project}/"
    with Wire(server.address) as wire:
        answer = wire.ask("GET", page, PAGE_HEADERS).expect(200)
    for link in links(answer):
        parts = urlsplit(urljoin(page, link))
        if parts.path.endswith(f"/{built.filename}"):
            return parts.path
    raise LoadFailed(f"{page} does not list {built.filename}")


def links(answer: Answer) -> list[str]:
    """The files of a page, JSON or HTML, as it refers to them, without fragments."""
    body = answer.body
    if answer.headers.get("content-encoding") == "gzip":
        body = zlib.decompress(body, 16 + zlib.MAX_WBITS)
    if "json" in answer.headers.get("content-type", ""):
        found = [one["url"] for one in orjson.loads(body)["files"]]
    else:
        found = re.findall(r'<a [^>]*href="([^"]+)"', body.decode())
    return [link.partition("#")[0] for link in found]


LINES = (
    Line("pypi-page", "Page of 2,000 files, GET", project_page),
    Line("pypi-wheel", "Wheel of 10 MiB, GET", wheel),
)
