"""`[[events.webhooks]]`: what is taken, what stops the start, and that no secret is shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nora.config import Config, Webhook
from nora.config.describe import render_toml
from nora.errors import ConfigError
from nora.formats import load_config
from nora.model import EVENT_KINDS
from tests.support.tables import each

SECRET = "0123456789abcdef-secret"
URL = "https://hooks.example.com/services/T000/part-of-the-secret?key=too"
FILE = f"""
[events]
keep = 5000
[[events.webhooks]]
name = "scanner"
url = "{URL}"
secret = "{SECRET}"
kinds = ["published"]
repositories = ["docker", "corp-*"]
timeout = "3s"
enabled = false
"""


def configured(folder: Path, text: str = "", **environ: str) -> Config:
    (folder / "config.toml").write_text(text)
    return load_config(environ, folder)


def test_a_file_of_webhooks_is_read_and_shown_without_secrets(tmp_path: Path) -> None:
    config = configured(tmp_path, FILE)
    [hook] = config.events.webhooks
    assert hook == Webhook(
        name="scanner",
        url=URL,
        secret=SECRET,
        kinds=("published",),
        repositories=("docker", "corp-*"),
        timeout=3,
        enabled=False,
    )
    assert (config.events.keep, hook.site) == (5000, "https://hooks.example.com")
    for text in (render_toml(config), repr(config), repr(hook)):
        assert SECRET not in text
        assert "part-of-the-secret" not in text
        assert "too" not in text.split("hooks.example.com")[-1][:20]
    assert 'name = "scanner"' in render_toml(config)
    assert "https://hooks.example.com/***" in render_toml(config)


def test_the_environment_says_the_same_in_json(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    said = {"name": "a", "url": URL, "secret_file": str(tmp_path / "secret"), "kinds": "*"}
    config = configured(tmp_path, NORA_EVENTS_WEBHOOKS=json.dumps([said]))
    [hook] = config.events.webhooks
    assert (hook.secret, hook.kinds) == (SECRET, EVENT_KINDS)
    assert str(tmp_path / "secret") in render_toml(config)
    (tmp_path / "hooks.json").write_text(json.dumps([said]))
    assert (
        configured(tmp_path, NORA_EVENTS_WEBHOOKS_FILE=str(tmp_path / "hooks.json")).events == config.events
    )


def said(**changes: Any) -> list[dict[str, Any]]:
    table = {"name": "a", "url": URL, "secret": SECRET, **changes}
    return [{name: value for name, value in table.items() if value is not None}]


@each(
    ("raw", "told"),
    [
        ("{", "a list of webhooks in JSON"),
        ({"name": "a"}, "expected tables such as"),
        (["a"], "webhook 1: expected a table"),
        (said(name="A b"), "webhook 1.name: expected lower-case letters"),
        (said(url=None), "webhook 1.url is missing"),
        (said(url="ftp://example.com/"), "webhook 1.url: expected a URL such as"),
        (said(url=f"https://user:{SECRET}@example.com/"), "webhook 1.url: expected a URL without user"),
        (said(secret=None), "expected secret_file or secret, one of them"),
        (said(secret_file="x"), "expected secret_file or secret, one of them"),
        (said(secret="short"), "webhook 1.secret: expected a text of 16 characters or more"),
        (
            said(secret=None, secret_file="/absent"),
            "webhook 1.secret_file: expected a file; it cannot be read",
        ),
        (said(kinds=["publish"]), "did you mean published?"),
        (said(kinds=["x"]), 'expected "*", or some of published, '),
        (said(names=[]), "webhook 1.names: expected patterns"),
        (said(timeout="2m"), "webhook 1.timeout: expected from 1 to 60 seconds"),
        (said(enabled="yes"), "webhook 1.enabled: expected true or false"),
        (said(event=["x"]), "webhook 1.event: there is no such field"),
        (said() + said(), "two webhooks have the name a"),
        (said() * 51, "at most 50 webhooks"),
    ],
)
def test_a_webhook_that_cannot_be_is_refused_without_its_secret(raw: Any, told: str, tmp_path: Path) -> None:
    text = raw if isinstance(raw, str) else json.dumps(raw)
    with pytest.raises(ConfigError) as error:
        configured(tmp_path, NORA_EVENTS_WEBHOOKS=text)
    assert told in str(error.value)
    assert SECRET not in str(error.value)
    assert "part-of-the-secret" not in str(error.value)
