"""Builds the compiled twins of `nora._speedups`; everything else is in pyproject.toml.

`NORA_NO_EXTENSIONS=1` builds without them. Where there is no C compiler the build goes on without them and
says so; an error of the compiler ends it. `NORA_REQUIRE_EXTENSIONS=1` makes going on without them an error.
"""

import os
import platform
import shlex
import shutil
import sys
import sysconfig

from setuptools import Extension, setup

HEADERS = ["nora/_speedups/json_lexer.h", "nora/_speedups/references.h", "nora/_speedups/xxh3.h"]
MODULES = ("names", "ranges", "digest", "files", "manifest")
FLAGS = ["-O3", "-g0", "-fno-strict-aliasing", "-fvisibility=hidden"]


def switched_on(variable: str) -> bool:
    return os.environ.get(variable, "0") not in {"", "0"}


def obstacle() -> str | None:
    """What keeps the extensions from being built, found out before anything is compiled."""
    if switched_on("NORA_NO_EXTENSIONS"):
        return "NORA_NO_EXTENSIONS is set"
    if platform.python_implementation() != "CPython" or sys.platform == "win32":
        return f"no extensions for {platform.python_implementation()} on {sys.platform}"
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")[0]
    return None if shutil.which(compiler) else f"no C compiler: {compiler} is not on PATH"


def extensions() -> list[Extension]:
    from Cython.Build import cythonize

    modules = [
        Extension(
            f"nora._speedups.{name}_c",
            [f"nora/_speedups/{name}_c.pyx"],
            depends=HEADERS,
            extra_compile_args=FLAGS,
        )
        for name in MODULES
    ]
    return cythonize(modules, language_level=3, annotate=switched_on("NORA_ANNOTATE"))


reason = obstacle()
if reason and switched_on("NORA_REQUIRE_EXTENSIONS"):
    sys.exit(f"NORA_REQUIRE_EXTENSIONS is set, but {reason}")
print(f"pure Python build: {reason}" if reason else "compiled build", file=sys.stderr)  # noqa: T201
setup(ext_modules=[] if reason else extensions())
