"""What NORA promises beside the tables: memory, chunks, a large store, access, installations, refreshes,
crates, files small and large, Maven artifacts, Go modules, a bucket, web pages."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from pathlib import Path

from benches.registries import (
    access,
    artifacts,
    bucket,
    chunks,
    crates,
    files,
    growth,
    installs,
    large_file,
    maven_builds,
    memory,
    module_downloads,
    modules,
    npm_installs,
    pages,
    refreshes,
    scale,
)
from benches.registries.gates import Check
from benches.registries.generators import LoadFailed
from benches.registries.rivals import StartFailed
from benches.registries.wire import WireError

Part = Callable[..., list[Check]]

PARTS: dict[str, Part] = {
    "memory": memory.run,
    "chunks": chunks.run,
    "scale": scale.run,
    "access": access.run,
    "installs": installs.run,
    "npm-ci": npm_installs.run,
    "growth": growth.run,
    "refreshes": refreshes.run,
    "crates": crates.run,
    "files": files.run,
    "large-file": large_file.run,
    "artifacts": artifacts.run,
    "mvn-compile": maven_builds.run,
    "modules": modules.run,
    "go-mod-download": module_downloads.run,
    "s3": bucket.run,
    "pages": pages.run,
}


def run(part: str, work: Path, *, smoke: bool, say: Callable[[str], None]) -> list[Check]:
    """Run one part in a directory of its own. A part that cannot be measured is a check without a number."""
    place = work / part
    place.mkdir()
    say(f"measuring {part}")
    try:
        checks = PARTS[part](place, smoke=smoke)
    except (LoadFailed, OSError, StartFailed, WireError) as error:
        say(f"  {part}: {error}")
        checks = [Check(part, math.nan, "", 0)]
    finally:
        shutil.rmtree(place, ignore_errors=True)
    for check in checks:
        say(f"  {check}")
    return checks
