"""How long `npm ci` takes from a warm cache, beside verdaccio."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import orjson

from benches.registries import measure, npm, rivals, seed, upstreams
from benches.registries.gates import NPM_CI, Check
from benches.registries.generators import LoadFailed, tool
from benches.registries.rivals import Running
from benches.registries.seed import KIB
from benches.registries.verdaccio import verdaccio
from tests.support.npm_registry import Built

NPM_SECONDS = 120.0
FILE = 20 * KIB


@dataclass(frozen=True, slots=True)
class Amounts:
    """How many packages are installed how often from each of the two."""

    packages: int = 300
    pairs: int = 7


SMOKE = Amounts(packages=10, pairs=1)


def run(place: Path, *, smoke: bool) -> list[Check]:
    """The ratio of wall times, in pairs by turns; each into a fresh folder, npm with an empty cache."""
    amounts = SMOKE if smoke else Amounts()
    names = [f"package-{number}" for number in range(amounts.packages)]
    builds = [Built(name, files={"data.bin": bytes(seed.blob(FILE, name).data)}) for name in names]
    with upstreams.npm_registry_of(*builds) as upstream:
        url = f"{upstream.url}/reg"
        nora = rivals.nora(settings={"NORA_NPM_PROXY": url, "NORA_NPM_METADATA_TTL": "3600"})
        rival = verdaccio(url)
        with rival.running(place / "rival") as other, nora.running(place / "nora") as server:
            taken: dict[str, list[float]] = {}
            folders = {one.registry.name: lock(one, place, names) for one in (server, other)}
            for number in range(amounts.pairs):
                for one in (server, other) if number % 2 else (other, server):
                    seconds = install(folders[one.registry.name], "ci", len(names))
                    taken.setdefault(one.registry.name, []).append(seconds)
    return [NPM_CI.check(measure.paired(taken[nora.name], taken[rival.name]))]


def lock(server: Running, place: Path, names: list[str]) -> Path:
    """A project that needs these packages, with its lock file; the server has asked for all of them."""
    folder = place / f"project-{server.registry.name}"
    folder.mkdir()
    said = {"name": "bench", "version": "1.0.0", "dependencies": dict.fromkeys(names, "^1.0.0")}
    (folder / "package.json").write_bytes(orjson.dumps(said))
    (folder / ".npmrc").write_text(f"registry={server.url}{npm.path_of(server, '')}\n")
    install(folder, "install", len(names))
    return folder


def install(folder: Path, command: str, packages: int) -> float:
    """Seconds that npm takes. Raises LoadFailed."""
    cache = folder / "npm-cache"
    argv = [tool("npm"), command, "--cache", str(cache), "--silent", "--no-audit", "--no-fund"]
    env = {name: value for name, value in os.environ.items() if not name.lower().startswith("npm_config_")}
    begun = time.perf_counter()
    done = subprocess.run(
        argv,
        env={**env, "HOME": str(folder), "npm_config_update_notifier": "false"},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=NPM_SECONDS,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    taken = time.perf_counter() - begun
    found = len(list((folder / "node_modules").glob("*/data.bin")))
    for used in (cache, folder / "node_modules"):
        shutil.rmtree(used, ignore_errors=True)
    if done.returncode or found != packages:
        raise LoadFailed(f"npm {command} installed {found} packages of {packages}: {done.stderr[-500:]}")
    return taken
