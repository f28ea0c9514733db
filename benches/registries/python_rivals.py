"""The caches and servers of Python packages under test, each in an environment of its own, made once.

The environments are in the folder that PYTHON_CLIENTS names, or in the user's cache folder.
"""

from __future__ import annotations

import base64
import functools
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import orjson

from benches.registries.rivals import START_SECONDS, Command, Registry, Running, StartFailed
from benches.registries.wire import Wire
from tests.support.python_clients import NotInstalled, Tool, install

THREADS = 8
MIRROR = "root/mirror"
VERSION = "import sys; from importlib.metadata import version; print(version(sys.argv[1]))"
# For each of them: what is installed, and where its pages are.
DEVPI = ("devpi-server==6.20.3",)
PROXPI = ("proxpi==1.3.1", "gunicorn==27.0.1")
PYPISERVER = ("pypiserver[cache]==2.4.2", "gunicorn==27.0.1")
UV = ("uv==0.13.9",)
SIMPLE = {
    "devpi": f"/{MIRROR}/+simple/",
    "proxpi": "/index/",
    "pypiserver": "/simple/",
    "nora": "/simple/",
    "nora-auto": "/simple/",
}


@functools.cache
def tool(requirements: tuple[str, ...], command: str) -> Tool:
    """A program from PyPI. Raises StartFailed when it cannot be had."""
    kept = os.environ.get("PYTHON_CLIENTS")
    cache = Path(kept) if kept else Path.home() / ".cache" / "nora-bench"
    try:
        return install(cache, *requirements, command=command)
    except NotInstalled as error:
        raise StartFailed(str(error)) from error


def version(requirements: tuple[str, ...]) -> Callable[[], str]:
    """What tells the version of the first requirement."""
    name = requirements[0].partition("==")[0].partition("[")[0]

    def ask() -> str:
        python = tool(requirements, "python").python
        done = subprocess.run([python, "-c", VERSION, name], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    return ask


def devpi() -> Registry:
    """devpi-server as it comes; ``mirror`` makes the index."""

    def command(directory: Path, port: int) -> Command:
        if not (directory / ".serverversion").exists():
            init = str(tool(DEVPI, "devpi-init").program)
            argv = [init, "--serverdir", str(directory), "--no-root-pypi"]
            subprocess.run(argv, check=True, capture_output=True, timeout=START_SECONDS)
        server = str(tool(DEVPI, "devpi-server").program)
        return Command([server, "--serverdir", str(directory), "--host", "127.0.0.1", "--port", str(port)])

    return Registry("devpi", "devpi-server", 1, "/+api", command, version(DEVPI))


def mirror(server: Running, index: str) -> None:
    """Let a devpi that was just made mirror ``index``."""
    with Wire(server.address) as wire:
        json = "Content-Type: application/json\r\nAccept: application/json\r\n"
        login = orjson.dumps({"user": "root", "password": ""})
        told = orjson.loads(wire.ask("POST", "/+login", json, [login]).expect(200).body)
        secret = base64.b64encode(f"root:{told['result']['password']}".encode()).decode()
        settings = orjson.dumps({"type": "mirror", "mirror_url": index})
        wire.ask("PUT", f"/{MIRROR}", f"{json}X-Devpi-Auth: {secret}\r\n", [settings]).expect(200)


def proxpi(index: str) -> Registry:
    """proxpi in one process of gunicorn with threads: its index cache is one of a process."""

    def command(directory: Path, port: int) -> Command:
        env = {"PROXPI_INDEX_URL": index, "PROXPI_CACHE_DIR": str(directory), "PROXPI_LOGGING_LEVEL": "ERROR"}
        return Command(_gunicorn(PROXPI, port, "proxpi.server:app"), env)

    return Registry("proxpi", "proxpi", 1, "/", command, version(PROXPI))


def pypiserver(packages: Path) -> Registry:
    """pypiserver on a folder of packages, its cache of hashes on."""

    def command(directory: Path, port: int) -> Command:
        options = f"roots=['{packages}'],disable_fallback=True,backend_arg='cached-dir',hash_algo='sha256'"
        return Command(_gunicorn(PYPISERVER, port, f"pypiserver:app({options})"))

    return Registry("pypiserver", "pypiserver", 1, "/", command, version(PYPISERVER))


def _gunicorn(requirements: tuple[str, ...], port: int, application: str) -> list[str]:
    program = str(tool(requirements, "gunicorn").program)
    options = ["--workers", "1", "--threads", str(THREADS), "--log-level", "warning", "--no-control-socket"]
    return [program, "--bind", f"127.0.0.1:{port}", *options, application]
