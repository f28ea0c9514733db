"""Templates and static files: loaded with the first page that somebody opens, then kept."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from nora.errors import NotFound
from nora.http.encodings import Encoding, compress
from nora.ui.languages import iso

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jinja2 import Environment

FOLDER: Final = Path(__file__).parent
TEMPLATES: Final = FOLDER / "templates"
_DIRECTION: Final = dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0x061C])
_TYPES: Final = {
    ".css": b"text/css; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".svg": b"image/svg+xml",
}


@cache
def environment() -> Environment:
    """What renders: everything is escaped unless it is markup of a template."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        finalize=_without_direction,
    )
    made.filters["iso"] = iso
    made.tests["web_address"] = is_web_address
    return made


def _without_direction(value: object) -> object:
    """A value without the characters that let text run another way than it is read: `gnp.exe` as
    `exe.png`."""
    if not isinstance(value, str) or value.isascii() or hasattr(value, "__html__"):
        return value
    return value.translate(_DIRECTION)


def render(template: str, **values: Any) -> str:
    """A page."""
    return environment().get_template(template).render(values)


def is_web_address(text: str) -> bool:
    """Whether a browser may be led there: packages say what they like."""
    return text.startswith(("https://", "http://")) and not any(one in text for one in " \"'<>\\")


@dataclass(frozen=True, slots=True)
class Asset:
    """A static file."""

    media_type: bytes
    body: bytes
    version: str
    """Another one for other bytes."""
    _compressed: dict[Encoding, bytes] = field(default_factory=dict)

    @staticmethod
    def of(name: str) -> Asset:
        """Raises NotFound."""
        return _load(name) if name in _paths() else _absent(name)

    def variant(self, encoding: Encoding) -> bytes:
        """Its bytes, compressed."""
        if encoding not in self._compressed:
            self._compressed[encoding] = compress(self.body, encoding)
        return self._compressed[encoding]


@cache
def _paths() -> Mapping[str, Path]:
    """Our own files, and those of Swagger UI, which a wheel brings."""
    from swagger_ui_bundle import swagger_ui_path

    own = {one.name: one for one in (FOLDER / "static").iterdir() if one.suffix in _TYPES}
    return {name: Path(swagger_ui_path) / name for name in ("swagger-ui.css", "swagger-ui-bundle.js")} | own


def _absent(name: str) -> Asset:
    raise NotFound("there is no such file")


@cache
def _load(name: str) -> Asset:
    path = _paths()[name]
    body = path.read_bytes()
    return Asset(_TYPES[path.suffix], body, hashlib.sha256(body).hexdigest()[:12])
