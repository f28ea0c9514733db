"""The registries under test: how each is started, with which settings, and how it is stopped."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from benches.registries import measure
from benches.registries.wire import Address, Wire, WireError

START_SECONDS = 60.0
STOP_SECONDS = 20.0
CORES = len(os.sched_getaffinity(0))


class StartFailed(Exception):
    """A registry is not installed, or it did not become ready."""


@dataclass(frozen=True, slots=True)
class Command:
    """What to run: the arguments and what is added to the environment."""

    argv: list[str]
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Registry:
    """One column of the table. ``cores`` is how many it can use at best."""

    name: str
    title: str
    cores: int
    ready: str
    command: Callable[[Path, int], Command]
    version: Callable[[], str]
    pages_tags: bool = True

    @contextmanager
    def running(self, directory: Path) -> Iterator[Running]:
        """The registry, serving ``directory``; stopped afterwards. Raises StartFailed."""
        server = self.start(directory)
        try:
            server.wait_ready()
            yield server
        finally:
            server.stop()

    def start(self, directory: Path) -> Running:
        """Spawn the registry without waiting for it."""
        directory.mkdir(parents=True, exist_ok=True)
        port = free_port()
        command = self.command(directory, port)
        log = directory.with_name(f"{directory.name}.log")
        with log.open("ab") as output:
            process = subprocess.Popen(
                command.argv,
                env={**_inherited(), **command.env},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        return Running(self, process, ("127.0.0.1", port), log)


def _inherited() -> dict[str, str]:
    """The environment without settings of the caller's own registry, which would change what is measured."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("NORA_", "REGISTRY_"))}


@dataclass(frozen=True, slots=True)
class Running:
    """A registry that was started: where it listens and which processes it is made of."""

    registry: Registry
    process: subprocess.Popen[bytes]
    address: Address
    log: Path

    @property
    def url(self) -> str:
        """The base URL, without a slash at the end."""
        return f"http://{self.address[0]}:{self.address[1]}"

    @property
    def pids(self) -> list[int]:
        """The process and all its descendants."""
        return measure.tree(self.process.pid)

    def wait_ready(self) -> None:
        """Return when the registry answers 200. Raises StartFailed, with the end of its log."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                with Wire(self.address, keep_alive=False, timeout=5) as wire:
                    if wire.ask("GET", self.registry.ready).status == 200:
                        return
            except (OSError, WireError):
                pass
            time.sleep(0.02)
        raise StartFailed(f"{self.registry.title} did not become ready:\n{self.last_words()}")

    def last_words(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-4000:]

    def stop(self) -> None:
        """Ask the registry to end, and end its process group if it does not."""
        self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(STOP_SECONDS)
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def free_port() -> int:
    """A port of the loopback interface that nobody uses at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


# Both speak the same configuration. What slows them for no benefit here is off: access logs, the purging
# of uploads, tracing. What makes them fast is on: the descriptor cache in memory.
CONFIG = """\
version: 0.1
log:
  level: error
  accesslog:
    disabled: true
storage:
  filesystem:
    rootdirectory: {root}
  cache:
    blobdescriptor: inmemory
  delete:
    enabled: true
  maintenance:
    uploadpurging:
      enabled: false
http:
  addr: 127.0.0.1:{port}
  secret: the-same-for-every-start
"""
PULL_THROUGH = """\
proxy:
  remoteurl: {upstream}
"""


def _go_registry(
    binary: str, install: str, upstream: str | None = None
) -> tuple[Callable[[Path, int], Command], Callable[[], str]]:
    def find() -> str:
        path = f"{os.environ.get('PATH', '')}:{Path.home() / 'go' / 'bin'}"
        if not (found := shutil.which(binary, path=path)):
            raise StartFailed(f"{binary} is not installed: {install}")
        return found

    def command(directory: Path, port: int) -> Command:
        config = directory.with_name(f"{directory.name}.yml")
        proxy = PULL_THROUGH.format(upstream=upstream) if upstream else ""
        config.write_text(CONFIG.format(root=directory, port=port) + proxy)
        return Command([find(), "serve", str(config)], {"OTEL_TRACES_EXPORTER": "none"})

    def version() -> str:
        return _first_line([find(), "--version"]).split()[-1]

    return command, version


def _nora(workers: str | None, settings: Mapping[str, str]) -> Callable[[Path, int], Command]:
    def command(directory: Path, port: int) -> Command:
        env = {"NORA_HOST": "127.0.0.1", "NORA_PORT": str(port), "NORA_STORAGE_PATH": str(directory)}
        if workers:
            env["NORA_WORKERS"] = workers
        return Command([sys.executable, "-m", "nora", "serve"], {**env, **settings})

    return command


def _nora_version() -> str:
    return _first_line([sys.executable, "-m", "nora", "--version"])


def _first_line(argv: list[str]) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    return (done.stdout or done.stderr).strip().partition("\n")[0]


OFFLINE = {"NORA_PROXY_MODE": "offline"}
"""Where the others have no upstream either."""


def nora(workers: str | None = None, cores: int = 1, settings: Mapping[str, str] = OFFLINE) -> Registry:
    """NORA in its default configuration, full durability. What may differ: ``workers``, and whom it asks."""
    name = f"nora-{workers}" if workers else "nora"
    title = f"NORA, {workers} workers" if workers else "NORA"
    return Registry(name, title, cores, "/ready", _nora(workers, settings), _nora_version)


def docker_registry(upstream: str | None = None) -> Registry:
    """Debian's 2.8; with ``upstream`` its pull-through cache.

    It answers `tags/list` with every tag, whatever `n` and `last` say.
    """
    command, version = _go_registry("docker-registry", "apt-get install docker-registry", upstream)
    name = "docker-registry"
    return Registry(name, name, CORES, "/v2/", command, version, pages_tags=False)


def distribution(upstream: str | None = None) -> Registry:
    """Distribution v3; with ``upstream`` its pull-through cache."""
    install = "go install github.com/distribution/distribution/v3/cmd/registry@latest"
    command, version = _go_registry("registry", install, upstream)
    return Registry("distribution", "Distribution v3", CORES, "/v2/", command, version)


DOCKER_REGISTRY = docker_registry()
DISTRIBUTION = distribution()
NORA = nora()
NORA_AUTO = nora("auto", CORES)

RIVALS = (DOCKER_REGISTRY, DISTRIBUTION)
ALL = (*RIVALS, NORA, NORA_AUTO)
