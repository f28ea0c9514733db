"""From a configuration to a running server: Granian, and the processes around it. The only import of granian.

In this order: the lock of the data directory, the port, the catalog and the directories, the memory that the
workers share, everything that they import - and then the workers, forked, so that what was loaded is shared.
A worker dies with its parent; one that dies by itself is replaced, however often that happens.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import mmap
import multiprocessing
import os
import signal
import socket
import ssl
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any

from granian.constants import HTTPModes, Interfaces, Loops, RuntimeModes, SSLProtocols
from granian.http import HTTP1Settings, HTTP2Settings
from granian.log import LogLevels
from granian.net import SocketHolder  # type: ignore[attr-defined]
from granian.server.mp import MPServer

from nora import __version__
from nora._speedups import COMPILED
from nora.auth.risks import risks_of_files
from nora.blobs.layout import Layout
from nora.blobs.opening import find_object, refuse_unfinished
from nora.blobs.scratch import ScratchLayout
from nora.catalog.sqlite import SQLiteCatalog
from nora.config import Config, repository_specs
from nora.errors import StartError
from nora.locks import FileLock, data_directory_lock
from nora.observability.history import restore
from nora.observability.logs import configure, server_config
from nora.observability.shared import SharedMemory
from nora.processes import (
    descriptor_budget,
    die_with_parent,
    frugal_memory,
    listen,
    name_receivers,
    own_port,
    raise_file_limit,
    set_sched_slice,
)

_log = logging.getLogger("nora.server")

BACKLOG = 4096
"""Connections that wait for a worker; the system may allow fewer (net.core.somaxconn)."""
BUFFER_BYTES = 192 * 1024
"""Of each connection and direction. For 64, 128, 192, 256 and 408 KiB (Granian's default) 100 slow downloads
add 31, 34, 48, 58 and 70 MiB (one run each, the last without `frugal_memory`); receiving 1 GiB costs
1.7, 1.1, 0.9, 0.7 and 0.6 s of CPU (on a machine that was busy otherwise)."""
START_POLL_SECONDS = 0.02
"""How soon a worker that has started is given connections."""
QUICK_DEATH_SECONDS = 10.0
LONGEST_DELAY_SECONDS = 5.0


def serve(config: Config) -> None:
    """Run until SIGTERM or SIGINT. Raises StartError when it cannot start."""
    started_at = time.time()
    configure(config.log.level, config.log.format, config.log.file)
    raise_file_limit()
    layout = Layout(config.storage.path)
    with (
        closing(_data_directory(config)),
        own_port(config.server.host, config.server.port, config.server.worker_count) as (address, sockets),
    ):
        sums = _prepare(config, layout)
        frugal_memory()
        _preload()
        server = _server(config, address, sockets, started_at)
        restore(server.memory, sums)
        _announce(config)
        server.serve(target_loader=build_worker, wrap_loader=False)
    _log.info("stopped")


def _data_directory(config: Config) -> FileLock:
    root = config.storage.path
    try:
        root.mkdir(0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StartError(f"the data directory {root} cannot be made: {error.strerror}") from error
    return data_directory_lock(root)


def _prepare(config: Config, layout: Layout) -> Mapping[str, float]:
    """What must be there before workers start: they never create or migrate anything. What servers before
    have counted."""
    from nora.commands import refuse_hidden_packages

    specs = repository_specs(config)
    refuse_unfinished(layout)
    SQLiteCatalog.prepare(
        layout.catalog,
        allow_fuse=config.storage.allow_fuse,
        find_object=partial(find_object, config, layout),
    )
    try:
        layout.create()
        scratch = ScratchLayout(config.storage.path)
        scratch.create()
        strangers = [*layout.empty_temporary(), *scratch.empty()]
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        raise StartError(
            f"the data directory {layout.root} cannot be filled: {error.strerror}{where}"
        ) from error
    for path in strangers:
        _log.warning("%s is a directory, which NORA does not make there: it is left alone", path)

    async def sync() -> Mapping[str, float]:
        catalog = SQLiteCatalog.open(layout.catalog)
        try:
            await refuse_hidden_packages(catalog, await catalog.sync_repositories(specs))
            ever = await catalog.total_history()
        finally:
            await catalog.close()
        return {} if ever is None else ever.counts

    return asyncio.run(sync())


def _preload() -> None:
    """Load in the parent what every worker needs, and keep the collector from touching (and so from
    copying) the pages that they share."""
    import uvloop  # noqa: F401

    import nora.app  # noqa: F401

    gc.collect()
    gc.freeze()


def _server(config: Config, address: str, sockets: list[socket.socket], started_at: float) -> Supervisor:
    settings = config.server
    if sys.platform != "win32":
        multiprocessing.set_start_method("fork", force=True)
    try:
        return Supervisor(
            config,
            started_at,
            sockets,
            target="nora.app:build_app",
            address=address,
            port=settings.port,
            interface=Interfaces.ASGI,
            loop=Loops.uvloop if sys.platform != "win32" else Loops.asyncio,
            http=HTTPModes.auto,
            websockets=False,
            workers=settings.worker_count,
            runtime_threads=1,
            runtime_mode=RuntimeModes.st,  # messages of a body come in order: see `http.body.RequestBody`
            backlog=BACKLOG,
            backpressure=descriptor_budget().connections,
            ssl_cert=settings.tls_cert,
            ssl_key=settings.tls_key,
            ssl_protocol_min=SSLProtocols.tls12,
            http1_settings=HTTP1Settings(
                header_read_timeout=settings.header_timeout * 1000, max_buffer_size=BUFFER_BYTES
            ),
            http2_settings=HTTP2Settings(
                max_headers_size=64 * 1024,
                initial_stream_window_size=4 * 1024 * 1024,
                initial_connection_window_size=16 * 1024 * 1024,
            ),
            log_dictconfig=server_config(config.log.level),
            log_level=_log_level(config),
        )
    except (ssl.SSLError, OSError) as error:
        raise StartError(f"the TLS certificate or key cannot be used: {error}") from error


def _log_level(config: Config) -> LogLevels:
    """What Granian tells of each start and each dropped connection is for `debug` here."""
    return LogLevels.debug if config.log.level in {"trace", "debug"} else LogLevels.error


def _announce(config: Config) -> None:
    settings = config.server
    scheme = "https" if settings.tls_cert else "http"
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    for warning in (*config.warnings, *risks_of_files(config)):
        _log.warning("%s", warning)
    _log.info(
        "NORA %s (%s) on %s://%s:%d, workers: %d, data: %s",
        __version__,
        "compiled" if COMPILED else "pure Python",
        scheme,
        host,
        settings.port,
        settings.worker_count,
        config.storage.path.resolve(),
    )


@dataclass(frozen=True, slots=True)
class Forked:
    """What a worker is told of itself."""

    number: int
    parent: int
    started_at: float
    others: list[int]
    """The descriptors on which other workers listen."""
    started: mmap.mmap
    """A byte of each worker, shared with the parent: whether it takes connections."""


def build_worker(config: Config, memory: SharedMemory, forked: Forked) -> Any:
    """The application, in the worker's own process."""
    die_with_parent(forked.parent)
    for descriptor in forked.others:
        os.close(descriptor)
    set_sched_slice()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # until the loop has its own, not the parent's handler
    if sys.platform != "win32":
        # Ctrl-C reaches the whole group; the parent hears it and tells the workers. Were they to hear both,
        # Granian's handler would wait for itself when the second signal interrupts it.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    configure(config.log.level, config.log.format, config.log.file)
    from nora.app import build_app

    app = build_app(config, memory=memory, worker=forked.number, started_at=forked.started_at)

    async def tell_parent(_: object) -> None:
        forked.started[forked.number] = True

    app.on_start += tell_parent  # the last of what is done then
    return app


class Supervisor(MPServer):
    """Granian, whose workers know their number and are always replaced."""

    wrks: list[Any]
    pid: Any
    _shd: Any

    def __init__(
        self, config: Config, started_at: float, sockets: list[socket.socket], **options: Any
    ) -> None:
        super().__init__(**options)
        self._config = config
        self._sockets = sockets
        self._started_at = started_at
        self.memory = SharedMemory(self.workers)
        self._started = mmap.mmap(-1, self.workers)
        self._receivers: list[int] = []
        self._quick_deaths: dict[int, int] = {}

    def _init_shared_socket(self) -> None:
        """Have workers accept from sockets of this process, rather than make their own."""
        if not self._sockets:
            super()._init_shared_socket()  # type: ignore[no-untyped-call]
            return
        listen(self._sockets, self.backlog)
        self._ssp = self._sso = None

    def _spawn_worker(  # type: ignore[override]
        self, idx: int, target: Any, callback_loader: Callable[..., Any]
    ) -> Any:
        others = [one.fileno() for number, one in enumerate(self._sockets) if number != idx]
        if self._sockets:
            self._shd = SocketHolder(self._sockets[idx].fileno(), False, self.backlog)  # type: ignore[call-arg]
        forked = Forked(idx, self.pid, self._started_at, others, self._started)
        load = partial(callback_loader, self._config, self.memory, forked)
        return super()._spawn_worker(idx, target, load)

    def _serve_loop(self, spawn_target: Any, target_loader: Any) -> None:
        """Replace workers that die, until told to stop. Granian's own loop ends the server when the same
        worker dies twice in 5.5 seconds."""
        due: dict[int, float] = {}
        while True:
            self.main_loop_interrupt.wait(self._patience(due))
            self.main_loop_interrupt.clear()  # before the flags are looked at: none is missed
            if self.interrupt_signal:
                self.interrupt_children.clear()
                return
            while self.interrupt_children:
                number = self.interrupt_children.pop()
                self._started[number] = False
                due[number] = time.monotonic() + self._delay(number)
            for number in [one for one, when in due.items() if when <= time.monotonic()]:
                del due[number]
                self.wrks[number] = self._spawn_worker(number, spawn_target, target_loader)
                self.wrks[number].start()
                _log.warning("worker %d died and was replaced", number + 1)
            self._name_receivers()

    def _patience(self, due: dict[int, float]) -> float | None:
        """Seconds after which there is something to do; None: when somebody says so."""
        if not all(self._started[number] for number in range(self.workers) if number not in due):
            return START_POLL_SECONDS
        return max(0.0, min(due.values()) - time.monotonic()) if due else None

    def _name_receivers(self) -> None:
        """Have connections go to the workers that have started; to the first one while there is none."""
        receivers = [number for number in range(self.workers) if self._started[number]] or [0]
        if receivers != self._receivers:
            self._receivers = receivers
            name_receivers(self._sockets, receivers)

    def _stop_workers(self) -> None:
        """Let requests in flight finish, for `server.graceful_timeout` at most."""
        for one in self._sockets:  # the last who has it open are the workers, and they stop accepting
            one.close()
        deadline = time.monotonic() + self._config.server.graceful_timeout
        waiting, told_at = list(self.wrks), 0.0
        while waiting and time.monotonic() < deadline:
            if time.monotonic() - told_at > 1.0:  # again: a worker that was just being forked missed it
                told_at = time.monotonic()
                for worker in waiting:
                    worker.terminate()
            time.sleep(0.01)
            waiting = [worker for worker in waiting if worker.is_alive()]
        for worker in self.wrks:
            if worker.is_alive():
                _log.warning("worker %d did not finish in time and is killed", worker.idx + 1)
                worker.kill()
            worker.join()
        self.wrks.clear()

    def _delay(self, number: int) -> float:
        """Seconds until a dead worker is replaced: none at first, more while it dies at once again."""
        lived = time.monotonic() - self.wrks[number].birth
        deaths = self._quick_deaths.get(number, 0) + 1 if lived < QUICK_DEATH_SECONDS else 0
        self._quick_deaths[number] = deaths
        return min(0.05 * 2**deaths, LONGEST_DELAY_SECONDS) if deaths > 1 else 0.0
