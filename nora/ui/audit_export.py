"""What a query asks of the audit log, and all of an answer as JSON lines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final

import orjson
from blacksheep import Response, StreamedContent

from nora.http.context import RequestContext
from nora.http.fields import NO_STORE
from nora.observability.audit_reader import Question

if TYPE_CHECKING:
    from nora.observability.audit_reader import AuditReader

MOST_LISTED: Final = 1000
MOST_EXPORTED: Final = 200_000
"""Lines; some 60 MiB."""
MOST_READ: Final = 100
"""Times that an export looks on: some GiB."""
_JSON_LINES: Final = b"application/jsonl"


def question_of(context: RequestContext) -> Question:
    """Which lines a query asks for. Raises BadRequest."""
    names = ("who", "action", "where", "outcome", "since", "until")
    return Question.parse(**{name: context.parameter(name) or "" for name in names})


def export(reader: AuditReader, question: Question) -> Response:
    """All lines that are asked for, up to MOST_EXPORTED of them, as they are found."""

    async def lines() -> AsyncIterator[bytes]:
        cursor, count = None, 0
        for _ in range(MOST_READ):
            page = await asyncio.to_thread(reader.read, question, cursor, MOST_LISTED)
            count += len(page.records)
            if page.records:
                yield b"".join(orjson.dumps(one, option=orjson.OPT_APPEND_NEWLINE) for one in page.records)
            cursor = page.next
            if cursor is None or count >= MOST_EXPORTED:
                break

    headers = [NO_STORE, (b"content-disposition", b'attachment; filename="audit.jsonl"')]
    return Response(200, headers, StreamedContent(_JSON_LINES, lines))
