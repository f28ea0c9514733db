"""The seam between the server and everything that answers requests.

Every request passes `NoraApplication.__call__`. One whose answer is kept (nora.http.kept_answers) gets that
at once. Any other gets its id, finds its mount by the first segments of its path, and leaves with the same
headers, metrics and errors whatever answered it. There are no middlewares: this is the hot path, and each of
its steps is paid for by every request.
"""

from __future__ import annotations

import itertools
import logging
import os
import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Any, cast

from blacksheep import Application, Request, Response, Router
from blacksheep.contents import ASGIContent
from blacksheep.server import application as application_module

from nora._speedups import is_request_id
from nora.catalog.events import CAUSE, Cause
from nora.config import ServerSettings
from nora.errors import BadRequest, ClientGone, CodingNotSupported, NotFound, TooManyRequests
from nora.http import errors, pulls
from nora.http.body import SCOPE_KEY, RequestBody, drain
from nora.http.clients import CLIENTS_KEY, Clients
from nora.http.clients import SCOPE_KEY as CLIENT_KEY
from nora.http.connections import ConnectionLimits, ConnectionWatch
from nora.http.kept_answers import Again, KeptAnswers, Question, question_of, rights_of
from nora.http.limits import RateLimits
from nora.http.openapi import Mounted
from nora.http.router import ROUTE_KEY, Endpoint
from nora.http.send import Header, PassedContent, Receive, Scope, Send, transmit
from nora.http.sites import Sites
from nora.model import ANONYMOUS, Principal
from nora.observability import access_log as access_lines
from nora.observability.audit import Audit
from nora.observability.logs import REQUEST_ID, TRACE
from nora.observability.metrics import Metrics, MountMetrics
from nora.observability.shared import Value
from nora.observability.traces import Span, Tracer

_log = logging.getLogger("nora.access")

Handler = Callable[[Request], Awaitable[Response]]
Recognize = Callable[[bytes, str], Awaitable[Principal | None]]
"""Who showed these credentials before, at no cost: see nora.auth.authenticator."""

SECURITY_HEADERS: tuple[Header, ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"strict-origin-when-cross-origin"),
    (
        b"content-security-policy",
        b"default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'",
    ),
)
SPAN_KEY = "nora.span"
SECURITY_KEY = "nora.security_headers"
"""Where a page that needs others leaves them in the scope of its request."""
DRAIN_BYTES = 256 * 1024 * 1024
DRAIN_SECONDS = 30.0
"""How much of a refused body is taken, and for how long, so that a client that looks for its answer only when
it has sent a whole layer sees it."""
_MAY_HAVE_BODY = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_TELLING = frozenset(
    b"accept accept-encoding connection content-length content-range content-type expect if-match"
    b" if-none-match if-range range te transfer-encoding user-agent".split()
)
_control_character = re.compile(r"[\x00-\x1f\x7f]|%00").search


@dataclass(frozen=True, slots=True)
class Mount:
    """Who answers below a prefix, in which dialect errors are told, and under which name it is counted."""

    name: str
    handler: Handler
    render_error: errors.RenderError
    metrics: MountMetrics
    limited: bool
    """Whether a client may be told that it asks for too much."""


class Tally:
    """Bytes of one answer, which are counted for all as well."""

    __slots__ = ("_all", "total")

    def __init__(self, all_bytes: Value) -> None:
        self._all = all_bytes
        self.total = 0

    def add(self, count: int) -> None:
        """So many more."""
        self.total += count
        self._all.add(count)


_DEVELOPER_AIDS = ("ServerErrorDetailsHandler", "validate_router", "get_parent_file")


@contextmanager
def _without_developer_aids() -> Iterator[None]:
    """Make an application without its page of error details, and without a search for the file that makes it.
    These read sources and look at every module, and a worker gets a copy of its own of each page of memory
    that it looks at: 5 MiB."""
    module: Any = application_module
    kept = {name: getattr(module, name) for name in _DEVELOPER_AIDS}
    vars(module).update(dict.fromkeys(kept, _nobody))
    try:
        yield
    finally:
        vars(module).update(kept)


def _nobody(*_: object) -> None:
    """Instead of what is not wanted."""


class NoraApplication(Application):
    """BlackSheep's application, with the formats in front of its router."""

    def __init__(
        self,
        metrics: Metrics,
        body_limit: int | None = None,
        *,
        clients: Clients | None = None,
        limits: RateLimits | None = None,
        audit: Audit | None = None,
        sites: Sites | None = None,
        kept_bytes: int = 0,
        access_log: bool = False,
        tracer: Tracer | None = None,
    ) -> None:
        """`kept_bytes` is the room for answers that are given again; with `access_log` each request has a
        line."""
        with _without_developer_aids():
            super().__init__(router=Router())
        self._body_limit = body_limit
        self._metrics = metrics
        self._clients = clients or Clients()
        self._limits = limits
        self._audit = audit
        self._sites = sites or Sites()
        self._good_hosts = self._sites.good_hosts
        self.pulls = pulls.PullCounter()
        """To be recorded by whoever has a catalog."""
        self._kept = KeptAnswers[Mount](kept_bytes)
        self._access_log = access_log
        self._tracer = tracer
        is_untold = (audit is None or not audit.reads) and not access_log
        self._is_plain = limits is None and is_untold
        """Whether nothing is done for an answer that is given again but to count it."""
        self._is_plain_for_known = (limits is None or limits.spare_known) and is_untold
        self.recognize: Recognize | None = None
        """Set where somebody is asked who they are."""
        self._in_flight: dict[int, tuple[str, str] | None] = {}
        self._files_sent: dict[str, float] = {}
        self._mounts: dict[str, Mount] = {}
        self.attach("/", "system", _nothing, errors.render_json, limited=False)
        # Unique is all that an id must be: a random start for each process, then counted.
        self._id_prefix = os.urandom(8).hex().encode()
        self._id_numbers = itertools.count(1)

    def attach(
        self,
        prefix: str,
        name: str,
        handler: Handler,
        render_error: errors.RenderError,
        *,
        limited: bool = True,
    ) -> None:
        """Let `handler` answer everything below a prefix of one or two segments: `/v2/`, `/r/internal/`. That
        of `/` gets what no other does."""
        self._mounts[prefix] = Mount(name, handler, render_error, self._metrics.mount(name), limited)

    def watch(self, settings: ServerSettings) -> ConnectionWatch:
        """Who looks at the connections by which requests come."""
        limits = ConnectionLimits.build(settings)
        return ConnectionWatch(settings.port, limits, self._clients, self._in_flight, self._files_sent)

    @property
    def requests_in_flight(self) -> int:
        """Requests that are being answered, but for answers that are given again."""
        return len(self._in_flight)

    def mounted(self) -> Iterator[Mounted]:
        """Everything that is answered, as the handlers of the mounts tell it by `endpoints` of theirs: each
        handler once, wherever it is mounted."""
        prefixes: dict[int, list[str]] = {}
        for prefix, mount in self._mounts.items():
            prefixes.setdefault(id(mount.handler), []).append(prefix)
        for mount in {id(one.handler): one for one in self._mounts.values()}.values():
            endpoints: Sequence[Endpoint[Any]] = getattr(mount.handler, "endpoints", ())
            of_repositories = any(one.startswith("/r/") for one in prefixes[id(mount.handler)])
            yield Mounted(mount.name, endpoints, mount.render_error, of_repositories)

    def routes(self) -> Iterator[tuple[str, str]]:
        """Method and path of everything that is answered."""
        for mounted in self.mounted():
            for endpoint in mounted.endpoints:
                yield from endpoint.routes()

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any:
        if scope["type"] != "http":
            return super().__call__(scope, receive, send)  # type: ignore[no-untyped-call]
        began = perf_counter()
        question = question_of(scope["headers"])
        if question.host not in self._good_hosts or _log.isEnabledFor(logging.DEBUG):
            pass
        elif question.credentials is not None:
            if self._is_plain_for_known and self._kept.has_for_known(scope):
                return self._handle_known(scope, question, receive, send, began)
        elif self._is_plain:
            try:
                again = self._kept.recall(scope, question, self._clients)
            except Exception:  # noqa: BLE001 - it is met again, and told, on the long way
                again = None
            if again is not None:
                return self._give_again(scope, question, again, send, began)
        return self._handle(scope, question, receive, send, began)

    async def _handle_known(
        self, scope: Scope, question: Question, receive: Receive, send: Send, began: float
    ) -> None:
        """As `_handle`, where the answer may be kept for who has the rights of these credentials."""
        again = None
        try:
            if self.recognize is not None and question.credentials is not None:
                principal = await self.recognize(question.credentials, self._clients.address(scope))
                if principal is not None:
                    again = self._kept.recall(scope, question, self._clients, rights_of(principal))
        except Exception:  # noqa: BLE001 - as above
            again = None
        if again is None:
            await self._handle(scope, question, receive, send, began)
        else:
            await self._give_again(scope, question, again, send, began)

    async def _give_again(
        self, scope: Scope, question: Question, again: Again[Mount], send: Send, began: float
    ) -> None:
        head = [*again.head, (b"x-request-id", self._request_id(question))]
        again.mount.metrics.observe(scope["method"], again.status, perf_counter() - began, again.event)
        if again.file is not None:
            self.pulls.note(again.file, again.status)
        again.mount.metrics.served["here"].add(len(again.body["body"]))
        await send({"type": "http.response.start", "status": again.status, "headers": head})
        await send(again.body)

    async def _handle(
        self, scope: Scope, question: Question, receive: Receive, send: Send, began: float
    ) -> None:
        number = id(scope)
        self._in_flight[number] = scope.get("client")
        try:
            if self._tracer is None:
                await self._answer(scope, question, receive, send, began)
            else:
                with self._tracer.request(scope) as scope[SPAN_KEY]:
                    await self._answer(scope, question, receive, send, began)
        finally:
            del self._in_flight[number]
            if SCOPE_KEY in scope:
                scope[SCOPE_KEY].close()

    async def _answer(
        self, scope: Scope, question: Question, receive: Receive, send: Send, began: float
    ) -> None:
        request_id = self._request_id(question)
        REQUEST_ID.set(request_id.decode())
        CAUSE.set(partial(_cause, scope))
        method: str = scope["method"]
        path: str = scope["path"]
        body = None
        if method in _MAY_HAVE_BODY:
            body = scope[SCOPE_KEY] = RequestBody(receive, self._body_limit)
            receive = body.receive  # type: ignore[assignment]
        request = Request.incoming(method, scope["raw_path"], scope["query_string"], scope["headers"])
        request.scope = scope  # type: ignore[assignment]
        request.content = ASGIContent(receive)
        scope[CLIENTS_KEY] = clients = self._clients
        scope[CLIENT_KEY] = clients.address(scope)
        mount = self._find(path)
        limits = self._limits if mount.limited else None
        again = None
        try:
            if (
                question.host not in self._good_hosts
                or body is not None
                or not (path.isascii() and path.isprintable())
                or "%" in path
            ):
                _check(path, scope["headers"])
                self._sites.admit(question.host, scope)
            if limits is not None:
                limits.admit(scope)
            again = self._kept.recall(scope, question, clients)
            if again is None:
                self._kept.invite(scope, question)
                response = await mount.handler(request)
        except Exception as error:  # noqa: BLE001 - this is the one place
            response = errors.answer(error, mount.render_error, request)
        if again is not None:
            self._note(scope, mount, again.status, perf_counter() - began)
            await self._give_again(scope, question, again, send, began)
            self._conclude(scope, mount, again.status, len(again.body["body"]), began)
            return
        if limits is not None:
            response = _concluded(limits, request, mount, response)
        seconds = perf_counter() - began
        mount.metrics.observe(method, response.status, seconds, scope.get("nora.event"))
        self._note(scope, mount, response.status, seconds)
        self._kept.put(scope, question, response, SECURITY_HEADERS, mount)
        await self._transmit(mount, response, request, receive, send, began)
        if (file := pulls.pulled_file(scope)) is not None:
            self.pulls.note(file, response.status)

    async def _transmit(
        self, mount: Mount, response: Response, request: Request, receive: Receive, send: Send, began: float
    ) -> None:
        scope = cast("Scope", request.scope)
        body: RequestBody | None = scope.get(SCOPE_KEY)
        request_id = (b"x-request-id", REQUEST_ID.get().encode())
        extra = (*scope.get(SECURITY_KEY, SECURITY_HEADERS), request_id)
        is_passed = isinstance(response.content, PassedContent)
        sent = Tally(mount.metrics.served["upstream" if is_passed else "here"])
        try:
            await transmit(response, extra, scope, receive, send, self._files_sent, sent.add)
        except ClientGone:
            return
        finally:
            if body is not None:
                mount.metrics.received.add(body.received)
            self._conclude(scope, mount, response.status, sent.total, began)
        if body is not None and not body.finished:
            await drain(request, DRAIN_BYTES, DRAIN_SECONDS)

    def _note(self, scope: Scope, mount: Mount, status: int, seconds: float) -> None:
        """Write an answer into the logs."""
        if self._audit is not None:
            self._audit.observe(scope, mount.name, status)
        if _log.isEnabledFor(logging.DEBUG):
            _tell(scope, status, seconds)

    def _conclude(self, scope: Scope, mount: Mount, status: int, sent: int, began: float) -> None:
        """Tell of an answer that is over: `sent` bytes of its body went out."""
        if self._access_log:
            access_lines.tell(scope, mount.name, status, sent, perf_counter() - began)
        span: Span | None = scope.get(SPAN_KEY)
        if span is not None:
            _describe(span, scope, mount.name, status, sent)

    def _request_id(self, question: Question) -> bytes:
        """The id that the client wants when it may be echoed, else a new one."""
        wanted = question.request_id
        if wanted and is_request_id(wanted.decode("latin-1")):
            return wanted
        return b"%b%012x" % (self._id_prefix, next(self._id_numbers))

    def _find(self, path: str) -> Mount:
        end = path.find("/", 1) + 1
        if not end:
            return self._mounts.get(path + "/") or self._mounts["/"]
        mount = self._mounts.get(path[:end])
        if mount is None:
            end = path.find("/", end) + 1
            mount = self._mounts.get(path[:end] if end else path + "/")
        return mount or self._mounts["/"]


def _cause(scope: Scope) -> Cause:
    """Who wants what is done for a request, as far as that is known now."""
    principal: Principal = scope.get("nora.principal") or ANONYMOUS
    return Cause(principal.name, principal.method, REQUEST_ID.get())


async def _nothing(request: Request) -> Response:
    raise NotFound("there is nothing here")


def _concluded(limits: RateLimits, request: Request, mount: Mount, response: Response) -> Response:
    """The answer, or that its client asks for too much."""
    try:
        limits.conclude(cast("Scope", request.scope), response.status)
    except TooManyRequests as error:
        return errors.answer(error, mount.render_error, request)
    return response


def _describe(span: Span, scope: Scope, registry: str, status: int, sent: int) -> None:
    route = scope.get(ROUTE_KEY, "")
    span.name = f"{span.name} {route}".rstrip()
    span.failed = status >= 500
    span.attributes |= {
        "http.request.method": scope["method"],
        "url.path": scope["path"],
        **({"http.route": route} if route else {}),
        "http.response.status_code": status,
        "http.response.body.size": sent,
        "nora.registry": registry,
        "nora.request_id": REQUEST_ID.get(),
    }


def _tell(scope: Scope, status: int, seconds: float) -> None:
    """The lines of a request at `debug` and `trace`: of its headers only those that can hold no secret."""
    method, path = scope["method"], scope["path"]
    _log.debug("%s %s %d %.1f ms", method, path, status, seconds * 1000)
    if _log.isEnabledFor(TRACE):
        headers = (f"{name.decode()}: {value!r}" for name, value in scope["headers"] if name in _TELLING)
        _log.log(TRACE, "%s %s had %s", method, path, ", ".join(headers))


def _check(path: str, headers: list[Header]) -> None:
    """Control characters, NUL among them, are in no name; nor is one that a second decoding would reveal. The
    server puts chunks together: what they hold in another coding would be taken as it is."""
    for name, value in headers:
        if name == b"transfer-encoding" and value.strip().lower() != b"chunked":
            raise CodingNotSupported("send the body as it is: no transfer coding is taken but chunked")
    if _control_character(path):
        raise BadRequest("the path has a control character")
