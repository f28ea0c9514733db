"""Private container daemons: nothing of the machine's own docker or containerd is read or changed.

They run as root, with what even a machine without bridges, iptables or overlay mounts can do.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.command import daemon, run


@contextlib.contextmanager
def short_folder() -> Iterator[Path]:
    """A folder whose path leaves room for unix sockets, which allow 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="nora-", ignore_cleanup_errors=True) as folder:
        try:
            yield Path(folder)
        finally:
            unmount_below(Path(folder))


def unmount_below(folder: Path) -> None:
    """Unmount what daemons left mounted below `folder`, the innermost first."""
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for mount in sorted((m for m in mounts if m.startswith(f"{folder}/")), reverse=True):
        subprocess.run(["umount", "--lazy", mount], check=False, capture_output=True)


def answers(*argv: str) -> bool:
    """Whether `argv` succeeds."""
    return subprocess.run(argv, capture_output=True, timeout=30, check=False).returncode == 0


@dataclass(frozen=True, slots=True)
class Containerd:
    """A containerd of its own; `ctr` speaks to it."""

    socket: Path

    def ctr(self, *words: str | Path) -> str:
        return run("ctr", "--address", self.socket, "--namespace", "nora", *words)


@contextlib.contextmanager
def containerd() -> Iterator[Containerd]:
    with short_folder() as folder:
        socket = folder / "c.sock"
        settings = folder / "config.toml"
        settings.write_text(
            f'version = 2\nroot = "{folder}/root"\nstate = "{folder}/state"\n'
            'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
            f'[grpc]\naddress = "{socket}"\n'
        )
        ready = ("ctr", "--address", str(socket), "version")
        with daemon("containerd", "--config", settings, log=folder / "log", ready=lambda: answers(*ready)):
            yield Containerd(socket)


@dataclass(frozen=True, slots=True)
class Docker:
    """A dockerd of its own; the docker command speaks to it."""

    host: str

    def __call__(self, *words: str | Path, fails: bool = False) -> str:
        # The builder inside dockerd: BuildKit would be one more program to install.
        return run("docker", "--host", self.host, *words, env={"DOCKER_BUILDKIT": "0"}, fails=fails)


@contextlib.contextmanager
def docker(
    settings: Mapping[str, object] | None = None, env: Mapping[str, str] | None = None
) -> Iterator[Docker]:
    """`settings` are those of daemon.json, `env` is for dockerd."""
    with containerd() as below, short_folder() as folder:
        host = f"unix://{folder}/d.sock"
        (folder / "daemon.json").write_text(json.dumps(settings or {}))
        words = [
            f"--config-file={folder}/daemon.json",
            f"--host={host}",
            f"--containerd={below.socket}",
            f"--data-root={folder}/data",
            f"--exec-root={folder}/exec",
            f"--pidfile={folder}/pid",
            "--storage-driver=vfs",
            "--bridge=none",
            "--iptables=false",
            "--ip6tables=false",
            "--ip-forward=false",
            "--ip-masq=false",
        ]
        ready = ("docker", "--host", host, "version")
        with daemon("dockerd", *words, log=folder / "log", ready=lambda: answers(*ready), env=env):
            yield Docker(host)


@dataclass(frozen=True, slots=True)
class Tool:
    """podman or buildah with a store of its own; `tool("push", …)`."""

    program: str
    options: tuple[str, ...]
    policy: Path

    def __call__(self, command: str, *words: str | Path, fails: bool = False) -> str:
        signed = [f"--signature-policy={self.policy}"] if command in {"pull", "push", "commit"} else []
        return run(self.program, *self.options, command, *signed, *words, fails=fails)


@contextlib.contextmanager
def tool(program: str) -> Iterator[Tool]:
    """`podman` or `buildah`."""
    with short_folder() as folder:
        policy = folder / "policy.json"
        policy.write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
        options = [f"--root={folder}/root", f"--runroot={folder}/run", "--storage-driver=vfs"]
        if program == "podman":
            options += [f"--tmpdir={folder}/tmp", "--cgroup-manager=cgroupfs", "--events-backend=file"]
        yield Tool(program, tuple(options), policy)
