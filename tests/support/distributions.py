"""Formats that another distribution brings: installed into a folder, as a wheel would be."""

from __future__ import annotations

import shutil
from pathlib import Path


def install_format(source: Path, folder: Path, module: str) -> dict[str, str]:
    """Put a module or package with a `FORMAT` where a server finds it as `module`; the environment for that
    server."""
    if source.is_dir():
        shutil.copytree(source, folder / module, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, folder / f"{module}.py")
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module.replace('_', '-')}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[nora.formats]\n{module} = {module}:FORMAT\n")
    return {"PYTHONPATH": str(folder)}
