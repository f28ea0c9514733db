"""Where the numbers come from: commit, versions, machine."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from benches.registries.rivals import CORES, Registry

LIBRARIES = ("blacksheep", "granian", "uvloop", "orjson", "xxhash")


def describe(registries: Sequence[Registry], work: Path) -> dict[str, object]:
    """Everything a reader needs before comparing two runs."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _output("git", "rev-parse", "HEAD"),
        "changed_files": len(_output("git", "status", "--porcelain", "--", "nora").splitlines()),
        "registries": {registry.name: registry.version() for registry in registries},
        "python": platform.python_version(),
        "libraries": {name: metadata.version(name) for name in LIBRARIES},
        "wrk": _output("wrk", "-v").partition(" [")[0].removeprefix("wrk "),
        "ab": _output("ab", "-V").partition(" <")[0].rpartition(" ")[2],
        "cpu": _cpu_model(),
        "cores": CORES,
        "memory_mib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20,
        "kernel": platform.release(),
        "filesystem": _output("findmnt", "-n", "-o", "FSTYPE", "-T", str(work)),
        "load_average": os.getloadavg()[0],
    }


def _cpu_model() -> str:
    found = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    return found[1] if found else platform.machine()


def _output(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=Path(__file__).parent)
    return (
        done.stdout.strip().partition("\n\n")[0]
        if argv[0] == "git"
        else done.stdout.partition("\n")[0].strip()
    )
