"""From an exception to an answer."""

from __future__ import annotations

import errno
import logging

import orjson
import pytest
from blacksheep import Request, Response
from blacksheep.exceptions import BadRequest as FrameworkBadRequest
from blacksheep.exceptions import MessageAborted

from nora import errors
from nora.http.errors import answer, render_json
from tests.support.tables import each

REQUEST = Request("GET", b"/", [])


def headers(response: Response) -> dict[bytes, bytes]:
    return dict(response.headers.values)


def all_errors() -> list[errors.NoraError]:
    made: list[errors.NoraError] = []
    classes = [errors.NoraError]
    for cls in classes:
        classes.extend(cls.__subclasses__())
        if cls.__module__ != errors.__name__ or issubclass(cls, errors.StartError):
            continue
        arguments: dict[type, tuple[object, ...]] = {
            errors.MissingReferences: (("sha256:0",),),
            errors.MethodNotAllowed: (("GET", "PUT"),),
            errors.TooLarge: (5,),
            errors.RangeNotSatisfiable: (5,),
            errors.UploadOffsetMismatch: (5,),
            errors.TooManyRequests: ("slow down", 7),
        }
        made.append(cls(*arguments.get(cls, ("message",))))
    return made


@each("error", all_errors())
def test_every_error_becomes_its_status_in_json(error: errors.NoraError) -> None:
    response = answer(error, render_json, REQUEST)
    assert response.status == error.status
    assert orjson.loads(response.content.body)["error"] == str(error)


def test_what_http_wants_beside_is_added_once() -> None:
    assert (
        headers(answer(errors.MethodNotAllowed(("GET", "PUT")), render_json, REQUEST))[b"allow"]
        == b"GET, PUT"
    )
    assert headers(answer(errors.TooManyRequests("", 7), render_json, REQUEST))[b"retry-after"] == b"7"
    assert headers(answer(errors.StorageBusy(), render_json, REQUEST))[b"retry-after"] == b"1"
    assert (
        headers(answer(errors.RangeNotSatisfiable(9), render_json, REQUEST))[b"content-range"] == b"bytes */9"
    )
    assert b"content-range" not in headers(answer(errors.UploadOffsetMismatch(9), render_json, REQUEST))
    own = answer(errors.StorageBusy(), lambda error, _: Response(503, [(b"Retry-After", b"30")]), REQUEST)
    assert own.headers.get(b"retry-after") == (b"30",)


def test_a_fault_is_logged_and_not_told(caplog: pytest.LogCaptureFixture) -> None:
    response = answer(RuntimeError("password is 123"), render_json, REQUEST)
    assert response.status == 500
    assert b"123" not in response.content.body
    assert "password is 123" in caplog.text


def test_a_renderer_that_fails_is_replaced(caplog: pytest.LogCaptureFixture) -> None:
    def fails(error: errors.NoraError, request: Request) -> Response:
        raise ValueError("renderer")

    assert answer(errors.NotFound("x"), fails, REQUEST).status == 404
    assert "could not be rendered" in caplog.text


def test_who_left_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert answer(MessageAborted(), render_json, REQUEST).status == 499
    assert answer(errors.ClientGone("x"), render_json, REQUEST).status == 499
    assert not caplog.records


def test_refusals_of_the_framework_keep_their_status() -> None:
    assert answer(FrameworkBadRequest("odd header"), render_json, REQUEST).status == 400


def test_the_cause_of_a_storage_failure_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    error = errors.StorageFailed("cannot read")
    error.__cause__ = OSError(5, "Input/output error")
    assert answer(error, render_json, REQUEST).status == 500
    assert "Input/output error" in caplog.text


@each("number", [errno.EMFILE, errno.ENFILE])
@each("around", [errors.StorageFailed, errors.UpstreamFailed, errors.NotFound, RuntimeError, None])
def test_too_many_open_files_are_503_whatever_met_them(number: int, around: type[Exception] | None) -> None:
    error: Exception = OSError(number, "Too many open files")
    if around is not None:
        outer = around("it failed")
        outer.__cause__ = error
        error = outer
    response = answer(error, render_json, REQUEST)
    assert (response.status, headers(response)[b"retry-after"]) == (503, b"1")
    assert "ulimit" in orjson.loads(response.content.body)["error"]  # type: ignore[union-attr]
