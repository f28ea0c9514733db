"""Parts of files, hosted and of an upstream, before they are here and after it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.formats.pypi.conftest import Place
from tests.formats.pypi.wire import put_release, raw
from tests.support.answers import Answer
from tests.support.wheels import Built, Release

RANGES = [
    ("bytes=0-0", 0, 1),
    ("bytes=100-1099", 100, 1100),
    ("bytes=20000-", 20_000, None),
    ("bytes=-1", -1, None),
    ("bytes=-8000", -8000, None),
    ("bytes=0-99999999", 0, None),
    ("bytes=-99999999", 0, None),
]


@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
@pytest.mark.parametrize(("wanted", "first", "stop"), RANGES)
def test_parts(
    place: Place,
    put: Callable[[Built], None],
    project: str,
    warm: bool,
    wanted: str,
    first: int,
    stop: int | None,
) -> None:
    wheel = put_release(put, project)
    path = f"/simple/{project}/{wheel.filename}"
    if warm:
        place.http.get(path)
    etag = f'"{wheel.sha256}"'
    for headers in ({}, {"if_range": etag}):
        part, body = raw(place.http, path, range=wanted, **headers)
        expected = wheel.body[first:stop]
        start = wheel.body.index(expected) if first >= 0 else len(wheel.body) - len(expected)
        assert (part.status_code, body) == (206, expected)
        last, size = start + len(expected) - 1, len(wheel.body)
        assert part.headers["content-range"] == f"bytes {start}-{last}/{size}"
        assert int(part.headers["content-length"]) == len(expected)
        assert part.headers["etag"] == etag
        assert "content-encoding" not in part.headers


@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"range": "bytes={size}-"}, 416),
        ({"range": "bytes={size}-{size}"}, 416),
        ({"range": "bytes=-0"}, 416),
        ({"range": "bytes=0-1,5-6"}, 200),
        ({"range": "bytes=0-1, -5"}, 200),
        ({"range": "lines=0-1"}, 200),
        ({"range": "bytes=0-1", "if_range": '"other"'}, 200),
        ({"range": "bytes=0-1", "if_range": "W/{etag}"}, 200),
        ({"range": "bytes=0-1", "if_range": "Tue, 02 Jan 2024 00:00:00 GMT"}, 200),
        ({"range": "bytes=0-1", "if_none_match": "{etag}"}, 304),
    ],
)
def test_no_parts(
    place: Place,
    put: Callable[[Built], None],
    project: str,
    warm: bool,
    headers: dict[str, str],
    status: int,
) -> None:
    wheel = put_release(put, project)
    path, size = f"/simple/{project}/{wheel.filename}", len(wheel.body)
    if warm:
        place.http.get(path)
    said = {k: v.format(size=size, etag=f'"{wheel.sha256}"') for k, v in headers.items()}
    answer, body = raw(place.http, path, **said)
    assert answer.status_code == status
    if status == 200:
        assert body == wheel.body
    if status == 416:
        assert answer.headers["content-range"] == f"bytes */{size}"


def test_parts_of_what_the_upstream_has_no_parts_of(place: Place, project: str) -> None:
    wheel = Release(project=project, padding=300_000).wheel()
    place.index.add(wheel, body=Answer(body=wheel.body, ranges=False))
    part, body = raw(place.http, f"/simple/{project}/{wheel.filename}", range="bytes=-5000")
    assert (part.status_code, body) == (206, wheel.body[-5000:])
