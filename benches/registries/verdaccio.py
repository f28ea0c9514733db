"""Verdaccio, with what it needs in a folder of its own, made once.

The folder is in the one that JS_CLIENTS names, or in the user's cache folder.
"""

from __future__ import annotations

import os
from pathlib import Path

import orjson

from benches.registries.rivals import Command, Registry, StartFailed
from tests.support.js_clients import NotInstalled, modules

PACKAGE = "verdaccio@6.8.0"
OVERRIDES = {"node-fetch": "2.7.0"}
"""What it asks for otherwise fails on answers that end a connection."""
# As it comes, but for what slows it for no benefit here: its pages and the logging of requests. What its
# upstream said stays fresh as long as a round lasts, as with NORA.
CONFIG = """\
storage: {place}/storage
auth:
  htpasswd:
    file: {place}/htpasswd
uplinks:
  upstream:
    url: {upstream}
    maxage: 1h
packages:
  '**':
    access: $all
    proxy: upstream
web:
  enable: false
log: {{ type: stdout, format: json, level: error }}
"""


def modules_folder() -> Path:
    """Where it is installed. Raises StartFailed when it cannot be had."""
    kept = os.environ.get("JS_CLIENTS")
    cache = Path(kept) if kept else Path.home() / ".cache" / "nora-bench"
    try:
        return modules(cache, PACKAGE, OVERRIDES)
    except NotInstalled as error:
        raise StartFailed(str(error)) from error


def verdaccio(upstream: str) -> Registry:
    """A cache of one registry: one process."""

    def command(directory: Path, port: int) -> Command:
        config = directory / "config.yaml"
        config.write_text(CONFIG.format(place=directory, upstream=upstream))
        program = str(modules_folder() / "verdaccio" / "bin" / "verdaccio")
        argv = ["node", program, "--config", str(config), "--listen", f"http://127.0.0.1:{port}"]
        return Command(argv, {"NODE_ENV": "production"})

    def version() -> str:
        told = orjson.loads((modules_folder() / "verdaccio" / "package.json").read_bytes())
        return str(told["version"])

    return Registry("verdaccio", "verdaccio", 1, "/-/ping", command, version)
