"""Errors in OCI's dialect (distribution-spec, Error codes)."""

from __future__ import annotations

from typing import Any

import orjson
from blacksheep import Content, Request, Response

from nora import errors
from nora.formats.docker.resource import API_VERSION

_CODES: dict[type[errors.NoraError], str] = {
    errors.InvalidName: "NAME_INVALID",
    errors.InvalidTag: "TAG_INVALID",
    errors.InvalidDigest: "DIGEST_INVALID",
    errors.DigestMismatch: "DIGEST_INVALID",
    errors.SizeMismatch: "SIZE_INVALID",
    errors.InvalidManifest: "MANIFEST_INVALID",
    errors.MissingReferences: "MANIFEST_BLOB_UNKNOWN",
    errors.InvalidPage: "PAGINATION_NUMBER_INVALID",
    errors.BadRequest: "UNSUPPORTED",
    errors.Unauthenticated: "UNAUTHORIZED",
    errors.Denied: "DENIED",
    errors.PackageNotFound: "NAME_UNKNOWN",
    errors.VersionNotFound: "MANIFEST_UNKNOWN",
    errors.BlobNotFound: "BLOB_UNKNOWN",
    errors.UploadNotFound: "BLOB_UPLOAD_UNKNOWN",
    errors.NotFound: "UNSUPPORTED",
    errors.MethodNotAllowed: "UNSUPPORTED",
    errors.CodingNotSupported: "UNSUPPORTED",
    errors.RequestTimeout: "BLOB_UPLOAD_INVALID",
    errors.Conflict: "DENIED",
    errors.PreconditionFailed: "DENIED",
    errors.TooLarge: "SIZE_INVALID",
    errors.RangeNotSatisfiable: "RANGE_INVALID",
    errors.TooManyRequests: "TOOMANYREQUESTS",
    errors.StorageBusy: "UNAVAILABLE",
    errors.StorageFull: "UNAVAILABLE",
    errors.UpstreamFailed: "UNAVAILABLE",
    errors.UpstreamLimited: "TOOMANYREQUESTS",
    errors.NoraError: "UNKNOWN",
}

_MAX_DETAILS = 100


def code_of(error: errors.NoraError) -> str:
    """The code of the most specific class."""
    return next(_CODES[cls] for cls in type(error).__mro__ if cls in _CODES)


def _body(error: errors.NoraError) -> dict[str, Any]:
    code, message = code_of(error), str(error)
    if isinstance(error, errors.MissingReferences):
        return {
            "errors": [
                {"code": code, "message": "blob unknown to the repository", "detail": {"digest": digest}}
                for digest in error.digests[:_MAX_DETAILS]
            ]
        }
    return {"errors": [{"code": code, "message": message}]}


def render_error(error: errors.NoraError, request: Request) -> Response:
    """An error as OCI clients read it; what HTTP itself wants beside is added for all formats alike."""
    headers = [API_VERSION]
    if isinstance(error, errors.UploadOffsetMismatch):  # where the upload stands, as its status says it
        headers.append((b"range", b"0-%d" % max(error.size - 1, 0)))
    # Who asked the upstream too often is in the end who asked here: docker waits, and does not try elsewhere
    status = 429 if isinstance(error, errors.UpstreamLimited) else error.status
    return Response(status, headers, Content(b"application/json", orjson.dumps(_body(error))))
