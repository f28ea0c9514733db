"""What the messages of errors may hold of what came in: the start of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from nora.auth.scopes import parse_scope
from nora.errors import MOST_QUOTED, NoraError, quoted
from nora.formats import load_config
from nora.formats.docker.publish import parse_manifest
from nora.formats.pypi.metadata import parse_metadata
from nora.formats.pypi.names import parse_filename

FLOOD = "Ab-" * 20_000


def test_a_quote_is_the_start_of_what_came_in() -> None:
    assert quoted("short") == "short"
    assert quoted("x" * MOST_QUOTED) == "x" * MOST_QUOTED
    assert quoted("x" * (MOST_QUOTED + 1)) == "x" * (MOST_QUOTED - 1) + "…"
    assert quoted(ValueError(FLOOD)).startswith(FLOOD[:100])


def config(text: str) -> Callable[[Path], object]:
    def read(folder: Path) -> object:
        (folder / "config.toml").write_text(text)
        return load_config({}, folder)

    return read


def core_metadata(*lines: str) -> Callable[[Path], object]:
    head = ["Metadata-Version: 2.1", "Name: foo", "Version: 1.0"]
    return lambda _: parse_metadata("\n".join([*head, *lines]).encode())


def manifest(content_type: str, **fields: object) -> Callable[[Path], object]:
    body = orjson.dumps({"schemaVersion": 2, **fields})
    return lambda _: parse_manifest(body, content_type, None, required="none", max_references=10)


INPUTS: dict[str, Callable[[Path], object]] = {
    "scope": lambda _: parse_scope(FLOOD),
    "file name": lambda _: parse_filename(FLOOD),
    "metadata version": lambda _: parse_metadata(f"Metadata-Version: {FLOOD}\n".encode()),
    "requirement": core_metadata(f"Requires-Dist: baz; {'(' * len(FLOOD)}"),
    "specifier": core_metadata(f"Requires-Python: {FLOOD}"),
    "content type": manifest(FLOOD),
    "two media types": manifest(FLOOD, mediaType=FLOOD + "2"),
    "media type": manifest("", mediaType=FLOOD),
    "value": config(f'[server]\nport = "{FLOOD}"\n'),
    "key": config(f"[server]\n{FLOOD} = 1\n"),
    "section": config(f"[{FLOOD}]\nport = 1\n"),
    "no TOML": config(FLOOD),
    "repository": config(f'[repositories.{FLOOD}]\nformat = "docker"\n'),
    "kind": config(f'[repositories.one]\nformat = "docker"\nkind = "{FLOOD}"\n'),
    "members": config(f'[repositories.one]\nformat = "docker"\nkind = "group"\nmembers = "{FLOOD}"\n'),
    "upstreams": config(f'[repositories.one]\nformat = "docker"\nkind = "proxy"\nupstreams = ["{FLOOD}"]\n'),
}


@pytest.mark.parametrize("what", INPUTS)
def test_a_refusal_does_not_repeat_a_flood(what: str, tmp_path: Path) -> None:
    with pytest.raises(NoraError) as refusal:
        INPUTS[what](tmp_path)
    for character in ("Ab-", "ab-", "((("):
        assert str(refusal.value).count(character) * 3 <= 2 * MOST_QUOTED, str(refusal.value)[:1000]
    assert len(str(refusal.value)) < 2000
