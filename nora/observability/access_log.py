"""The access log: a line for each request when it was answered, whatever the level of the log is.

As text `192.0.2.7 ci "GET /v2/" <format> 200 2 B 1.4 ms`, as JSON a field for each of these. Never a
query, a header or a body: those may hold secrets.
"""

from __future__ import annotations

import logging
from typing import Any, Final

from nora.model import ANONYMOUS, Principal

_log = logging.getLogger("nora.access")
_TEXT: Final = (
    '%(client)s %(user)s "%(method)s %(path)s" %(registry)s %(status)d %(bytes)d B %(milliseconds).1f ms'
)


def tell(scope: dict[str, Any], registry: str, status: int, sent: int, seconds: float) -> None:
    """Write the line of a request: `sent` bytes of its body went out, `seconds` after its head had come the
    answer was over, as far as the server says."""
    principal: Principal = scope.get("nora.principal") or ANONYMOUS
    fields = {
        "client": scope.get("nora.client", ""),
        "user": "-" if principal.is_anonymous else principal.name,
        "method": scope["method"],
        "path": scope["path"],
        "registry": registry,
        "status": status,
        "bytes": sent,
        "milliseconds": round(seconds * 1000, 1),
    }
    _log.info(_TEXT, fields, extra={"fields": fields})
