"""The OpenAPI document (3.1) of what a server answers, made of its tables of endpoints.

Nothing is listed a second time: paths, methods and rights are those of the tables, summaries the docstrings
of handlers, schemas the types that endpoints say they take and give (nora.http.operations), and an error is
of the type in which its mount renders one.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, get_args, get_type_hints, is_typeddict

from blacksheep import Request

from nora.errors import NotFound
from nora.http.fields import Problem

if TYPE_CHECKING:
    from nora.http.errors import RenderError
    from nora.http.operations import Operation, Parameter
    from nora.http.router import Endpoint

Json = dict[str, Any]

_NAME: Final = re.compile(r"\{(@?)([a-z_]+)(\.\.\.)?\}")
_METHODS: Final = re.compile(r"^(?:(?:GET|HEAD|POST|PUT|PATCH|DELETE)(?:, | and )?)+(?: of|:) ")
_SCHEMAS: Final = "#/components/schemas/{name}"
_SCOPED: Final = "It may have a scope: `@scope/name`, with the slash as it is or encoded (`%2F`)."
_SEVERAL: Final = "One segment or more, with the slashes between them as they are, not encoded (`%2F`)."
_ALWAYS: Final = (400, 405, 421, 429, 500, 503)
_REASONS: Final = {
    304: "It is as the client has it",
    400: "The request is not one that can be understood",
    401: "Who is asking is not known",
    403: "Who is asking may not do this",
    404: "There is no such thing",
    405: "The method is none of this path",
    409: "Something that is there stands against it",
    412: "It is not as the request says that it is",
    413: "The body is too large",
    421: "The host is none of this server",
    429: "The client asks too much; `Retry-After` says when to ask again",
    500: "A fault of the server; its log says more about the request",
    503: "The server cannot answer now",
}
_SECURITY: Final[list[Json]] = [{"token": []}, {"password": []}]


@dataclass(frozen=True, slots=True)
class Mounted:
    """Endpoints that are answered together."""

    name: str
    """The tag of their operations."""
    endpoints: Sequence[Endpoint[Any]]
    render_error: RenderError
    is_per_repository: bool
    """Whether all of this is there once more below `/r/<repository>`."""


def make_document(mounted: Iterable[Mounted], version: str, *, asks_who: bool) -> Json:
    """The document. `asks_who`: whether credentials are asked for at all."""
    mounted = tuple(mounted)
    told = [one.told for group in mounted for one in group.endpoints]
    paths: dict[str, Json] = {}
    for group in mounted:
        for one in group.endpoints:
            if not one.methods:
                continue
            item = paths.setdefault(_NAME.sub(r"{\2}", one.path), _path_item(one.path, group))
            for method in one.methods.split():
                item[method.lower()] = _operation(one, method, group, asks_who=asks_who)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "NORA",
            "version": version,
            "description": "An artifact registry: its own API, and the protocols of the formats that it "
            "serves. `x-nora-path` is a path as the server has it.",
        },
        "servers": [{"url": "..", "description": "This server"}],
        "tags": [{"name": group.name} for group in mounted],
        "paths": paths,
        "components": {
            "schemas": _schemas(told),
            "responses": _problems(),
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "An API token, `nra_…`"},
                "password": {
                    "type": "http",
                    "scheme": "basic",
                    "description": "A user with a password, or with a token in its place",
                },
            },
        },
    }


def _path_item(path: str, group: Mounted) -> Json:
    item: Json = {"x-nora-path": path}
    if names := [*_NAME.finditer(path)]:
        item["parameters"] = [_path_parameter(*one.groups()) for one in names]
    if group.is_per_repository:
        default = {"repository": {"default": group.name, "description": "The name of a repository"}}
        item["servers"] = [
            {"url": "..", "description": "The default repository"},
            {"url": "../r/{repository}", "description": "A repository by its name", "variables": default},
        ]
    return item


def _path_parameter(scoped: str, name: str, several: str | None) -> Json:
    about = _SCOPED if scoped else _SEVERAL if several else ""
    found: Json = {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
    return found | ({"description": about} if about else {})


def _operation(one: Endpoint[Any], method: str, group: Mounted, *, asks_who: bool) -> Json:
    told, docstring = one.told, _docstring(one.handler)
    summary = told.summary or _summary(docstring)
    words = re.findall(r"[A-Za-z0-9]+", f"{method.lower()} {one.path}")
    found: Json = {
        "operationId": "_".join(words),
        "tags": [group.name],
        "summary": summary,
        "responses": _responses(one, method, group),
    }
    if docstring.rstrip(".") != summary and not told.summary:
        found["description"] = docstring
    if told.query:
        found["parameters"] = [_query_parameter(parameter) for parameter in told.query]
    if told.body is not None:
        schema = {"$ref": _SCHEMAS.format(name=told.body.__name__)}
        found["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    if one.action is not None:
        found["x-nora-action"] = one.action
    if asks_who:
        nobody: list[Json] = (
            [{}] if one.action in (None, "read") else []
        )  # what is open may be read by anybody
        found["security"] = nobody + _SECURITY
    return found


def _query_parameter(parameter: Parameter) -> Json:
    return {
        "name": parameter.name,
        "in": "query",
        "required": parameter.needed,
        "description": parameter.about,
        "schema": {"type": parameter.kind},
    }


def _responses(one: Endpoint[Any], method: str, group: Mounted) -> Json:
    told = one.told
    if told.answer is None and not told.media_type and told.status == 200:
        shown = {} if method == "HEAD" else _error_of(one.path, method, group)
        return {
            "2XX": {"description": "As the protocol has it"},
            "3XX": {"description": "What is asked for is elsewhere, or as the client has it"},
            "4XX": {"description": "Refused; the error is in the dialect of the format", **shown},
            "5XX": {"description": "It cannot be answered now; the error is as any other", **shown},
        }
    if told.answer is not None:
        content: Json = {"application/json": {"schema": {"$ref": _SCHEMAS.format(name=told.answer.__name__)}}}
    else:
        content = {told.media_type: {}} if told.media_type else {}
    found: Json = {
        str(told.status): {"description": "What is there" if method in ("GET", "HEAD") else "Done"}
    }
    if content and method != "HEAD":
        found[str(told.status)]["content"] = content
    for status in sorted({*_ALWAYS, *_errors_of(one, told)}):
        found[str(status)] = {
            "$ref": f"#/components/responses/{'Bare' if method == 'HEAD' else 'Problem'}{status}"
        }
    return found


def _problems() -> Json:
    """The errors of what is no format's, and those of their HEAD requests, which have no content."""
    content = {"application/json": {"schema": {"$ref": _SCHEMAS.format(name=Problem.__name__)}}}
    bare = {f"Bare{status}": {"description": text} for status, text in _REASONS.items()}
    return bare | {
        f"Problem{status}": {"description": text, "content": content} for status, text in _REASONS.items()
    }


def _errors_of(one: Endpoint[Any], told: Operation) -> Iterator[int]:
    yield from told.errors
    if one.action is not None:
        yield from (401, 403)
    if told.body is not None:
        yield 413
    if "{" in one.path:
        yield 404


def _error_of(path: str, method: str, group: Mounted) -> Json:
    """The content of an answer that is an error: of the type that the mount renders one in."""
    request = Request.incoming(method, path.encode(), b"", [])
    scope: Json = {"type": "http", "method": method, "path": path, "raw_path": path.encode()}
    request.scope = scope | {"query_string": b"", "headers": []}  # type: ignore[assignment]
    content = group.render_error(NotFound("there is nothing here"), request).content
    if content is None:
        return {}
    return {"content": {content.type.decode().partition(";")[0]: {}}}


def _docstring(handler: Any) -> str:
    """What is said of who answers, whatever is wrapped around it."""
    return inspect.cleandoc(inspect.unwrap(handler).__doc__ or "")


def _summary(docstring: str) -> str:
    """Its first sentence, without the methods that it may begin with: they are said already."""
    first = " ".join(re.split(r"(?<=\.)\s|\n\n", docstring)[0].split()).rstrip(".")
    return _METHODS.sub("", first, count=1)[:1].upper() + _METHODS.sub("", first, count=1)[1:]


# -- schemas -------------------------------------------------------------------------------------------------


def _schemas(told: Iterable[Operation]) -> Json:
    """The JSON schemas of what is taken and given, and of all that is in it, by their names."""
    from msgspec.json import schema_components

    told = tuple(told)
    taken = {*_with_inner(one.body for one in told if one.body is not None)}
    given = _with_inner(one.answer for one in told if one.answer is not None)
    everything: tuple[type[Any], ...] = (Problem, *taken, *given)
    kinds = {one.__name__: one for one in everything}
    assert len(kinds) == len({*everything}), "two types have one name"
    _, found = schema_components(kinds.values(), ref_template=_SCHEMAS)
    texts = _Texts()
    for name, kind in kinds.items():
        for field, text in texts.of(kind).items():
            found[name]["properties"][field] |= {"description": text}
    for kind in taken:  # what a body has beside is refused
        found[kind.__name__]["additionalProperties"] = False
    return dict(sorted(found.items()))


def _with_inner(kinds: Iterable[Any]) -> Iterator[type[Any]]:
    """TypedDicts, and those that their fields are of."""
    for kind in kinds:
        if is_typeddict(kind):
            yield kind
            yield from _with_inner(get_type_hints(kind).values())
        else:
            yield from _with_inner(get_args(kind))


class _Texts:
    """The texts below the fields of classes: nothing keeps them but the source, which is there where NORA is
    installed. It is read once for each module, and forgotten."""

    def __init__(self) -> None:
        self._classes: dict[str, dict[str, ast.ClassDef]] = {}

    def of(self, kind: type[Any]) -> dict[str, str]:
        """By the names of the fields, with those of its bases."""
        tree = self._module(kind.__module__).get(kind.__name__)
        found: dict[str, str] = {}
        for base in () if tree is None else tree.bases:
            known = vars(sys.modules[kind.__module__]).get(base.id) if isinstance(base, ast.Name) else None
            if known is not None and is_typeddict(known):
                found |= self.of(known)
        for field, text in pairwise(() if tree is None else tree.body):
            match field, text:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(said))):
                    found[name] = " ".join(said.split())
        return found

    def _module(self, name: str) -> dict[str, ast.ClassDef]:
        if name not in self._classes:
            try:
                body = ast.parse(inspect.getsource(sys.modules[name])).body
            except (OSError, TypeError):
                body = []
            self._classes[name] = {one.name: one for one in body if isinstance(one, ast.ClassDef)}
        return self._classes[name]
