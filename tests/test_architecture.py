"""The rules of the house, kept by walking its imports: who may import whom, and who owns which library.

ARCHITECTURE.md says why. An import inside of a function or under TYPE_CHECKING counts like any other.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from nora.formats import discover
from nora.formats.planned import PLANNED

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "nora"

# From the top down: a room may import rooms of the levels below its own, and what is listed for it.
LEVELS: tuple[frozenset[str], ...] = (
    frozenset({"cli", "server", "__main__"}),
    frozenset({"commands"}),
    frozenset({"app"}),
    frozenset({"serving"}),
    frozenset({"api"}),
    frozenset({"ui", "mirror"}),
    frozenset({"formats", "upkeep", "events"}),
    frozenset({"http", "proxy", "curation", "auth"}),
    frozenset({"resolve", "retention"}),
    frozenset({"archives", "catalog", "blobs", "outbound", "observability"}),
    frozenset({"addresses", "patterns", "model", "errors", "config", "locks", "processes", "_speedups"})
    | frozenset({"__init__"}),
)
ALSO: dict[str, frozenset[str]] = {
    "cli": frozenset({"server"}),
    "__main__": frozenset({"cli"}),
    "blobs": frozenset({"catalog"}),  # the store and the sessions speak of the catalog's rows
    "observability": frozenset({"catalog"}),  # what is counted is kept in its rows
    "auth": frozenset({"http"}),  # its own endpoints read bodies as all others do
    "proxy": frozenset({"http"}),  # an answer may be a file that is still on its way
    "model": frozenset({"errors", "_speedups"}),
    "config": frozenset({"errors", "model"}),
    "locks": frozenset({"errors"}),
    "processes": frozenset({"errors"}),
}

# One owner per library; the key is the library, the values are the modules or packages that may import it.
OWNERS: dict[str, tuple[str, ...]] = {
    "granian": ("nora.server",),
    "blacksheep": (
        "nora.app",
        "nora.http",
        "nora.api",
        "nora.ui",
        "nora.formats",
        "nora.auth",
        "nora.proxy.answers",
        "nora.proxy.changing_files",
    ),
    "bcrypt": ("nora.auth.passwords",),
    "httpx": ("nora.outbound",),
    "httpcore": ("nora.outbound",),
    "aiohappyeyeballs": ("nora.outbound",),
    "anyio": ("nora.outbound",),
    "joserfc": ("nora.auth",),
    "cryptography": ("nora.upkeep.backups.sealing",),
    "boto3": ("nora.blobs.s3",),
    "botocore": ("nora.blobs.s3",),
    "sqlite3": ("nora.catalog.sqlite",),
    "asyncpg": ("nora.catalog.postgres",),
    "fcntl": ("nora.locks",),
    "msvcrt": ("nora.locks",),
    "prometheus_client": ("nora.observability",),
    "click": ("nora.cli",),
    "rich": ("nora.cli",),
    "uvloop": ("nora.server",),
    "jinja2": ("nora.ui",),
    "markupsafe": ("nora.ui",),
    "nh3": ("nora.ui",),
    "pyromark": ("nora.ui",),
    "swagger_ui_bundle": ("nora.ui",),
    "msgspec": ("nora.http.openapi",),
    "ctypes": ("nora.processes",),
    "json": ("nora.config",),  # on request paths orjson is the only codec
}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def modules() -> dict[str, Path]:
    return {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


@cache
def imports(module: str) -> tuple[tuple[int, str], ...]:
    """Line and full name of everything that a module imports; `from a import b` is `a.b` where that is a
    module, else `a`."""
    return tuple(_imports(module))


def _imports(module: str) -> Iterator[tuple[int, str]]:
    path = modules()[module]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
                parts = package[: len(package) - node.level + 1]
                base = ".".join([*parts, base] if base else parts)
            for alias in node.names:
                deeper = f"{base}.{alias.name}"
                yield node.lineno, deeper if deeper in modules() else base


def room(module: str) -> str:
    """The first part below `nora`; `__init__` for `nora` itself."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def level(name: str) -> int:
    found = [number for number, rooms in enumerate(LEVELS) if name in rooms]
    assert found, f"nora.{name} is not in the map of this test: give it a level"
    return found[0]


def all_imports() -> Iterator[tuple[str, str, str]]:
    """Every import of NORA: where it is, the module that has it, and what is imported."""
    for module, path in modules().items():
        for line, imported in imports(module):
            yield f"{path.relative_to(ROOT)}:{line}", module, imported


def test_rooms_import_downwards_only() -> None:
    wrong = []
    for where, module, imported in all_imports():
        if imported.split(".")[0] != "nora":
            continue
        mine, other = room(module), room(imported)
        if other != mine and level(other) <= level(mine) and other not in ALSO.get(mine, frozenset()):
            wrong.append(f"{where}: {module} must not import {imported}")
    assert wrong == []


def test_each_library_has_one_owner() -> None:
    wrong = []
    for where, module, imported in all_imports():
        library = imported.split(".")[0]
        owners = OWNERS.get(library)
        if owners and not any(module == owner or module.startswith(f"{owner}.") for owner in owners):
            wrong.append(f"{where}: {library} belongs to {' and '.join(owners)}")
    assert wrong == []


def format_of(module: str) -> str | None:
    """The format to whose folder a module belongs; None outside, and for what all formats share."""
    parts = module.split(".")
    inside = parts[:2] == ["nora", "formats"] and len(parts) > 2
    return parts[2] if inside and (PACKAGE / "formats" / parts[2]).is_dir() else None


def test_nobody_imports_a_format_but_itself() -> None:
    """Formats never import each other, and everybody else iterates `formats.discover()`."""
    assert [
        f"{where}: {module} must not import {imported}"
        for where, module, imported in all_imports()
        if format_of(imported) not in {None, format_of(module)}
    ] == []


FORMAT_NAMES = frozenset({one.name for one in (*discover(), *PLANNED)})
WORDS_OF_ENGLISH = frozenset({"go", "raw"})
"""Names of formats that sentences and variables have as well: only quoted they are names."""
WIRE_NAMES = re.compile("x-nuget-apikey|cargo-protocol|npm-(auth-type|command|scope|session)", re.IGNORECASE)
"""What clients call things: a header field whose value is a credential, whatever it is sent to, and those on
which no answer depends."""


def formats_named_in(line: str) -> set[str]:
    """The formats that a line names, as words or as parts of identifiers."""
    line = WIRE_NAMES.sub("", line)
    parts = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", line)
    words = {*re.findall(r"[a-z0-9]+", line.lower()), *re.findall(r"[a-z0-9]+", parts.lower())}
    quoted = {*re.findall(r"""["'`]([a-z_]+)[."'`]""", line.lower())}
    named = {name for name in FORMAT_NAMES - WORDS_OF_ENGLISH if {*name.split("_")} <= words}
    return named | (FORMAT_NAMES & WORDS_OF_ENGLISH & quoted)


def test_nothing_outside_its_folder_names_a_format() -> None:
    """Whoever adds a format edits its folder only, and so does another distribution that brings one."""
    sources = [path for kind in ("*.py", "*.pyx", "*.pxd", "*.h") for path in PACKAGE.rglob(kind)]
    shared = [PACKAGE / "formats" / f"{name}.py" for name in ("__init__", "base", "samples")]
    outside = [path for path in sources if path.relative_to(PACKAGE).parts[0] != "formats" or path in shared]
    assert len(outside) > 100
    assert [
        f"{path}:{number}: {line.strip()}"
        for path in outside
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if formats_named_in(line)
    ] == []


def test_the_search_for_names_of_formats_finds_them() -> None:
    for line in ("config.docker", "DockerSettings", "docker_anon", "as PyPI does", 'x["go"]', "pub_dart"):
        assert formats_named_in(line), line
    for line in ("go on", "raw: object", "X-NuGet-ApiKey", "a dockerised thing", 'publish "pub"'):
        assert not formats_named_in(line), line


LOOP_OVER_MEMBERS = re.compile(
    r"\.(readable|members)\b|\bfor\b.*\bin\b.*repository\.(hosted|proxied|sources)\b"
)


def test_no_format_loops_over_members() -> None:
    """Who is asked for a name is decided in nora.resolve: a loop of a format's own would not know who is
    trusted for it."""
    sources = sorted((PACKAGE / "formats").rglob("*.py"))
    assert len(sources) > 30
    assert [
        f"{path}:{number}: {line.strip()}"
        for path in sources
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if LOOP_OVER_MEMBERS.search(line)
    ] == []
    for line in ("for one in repository.readable:", "[x for x in image.repository.hosted]", "group.members"):
        assert LOOP_OVER_MEMBERS.search(line), line


def test_speedups_import_nothing_of_nora() -> None:
    assert [
        f"{where}: {module} must not import {imported}"
        for where, module, imported in all_imports()
        if module.startswith("nora._speedups")
        and imported.split(".")[0] == "nora"
        and not imported.startswith("nora._speedups")
    ] == []


def test_there_are_no_utils() -> None:
    """What has no home names a concept that is missing."""
    for name in modules():
        assert name.rsplit(".", 1)[-1] not in {"utils", "helpers", "common", "misc"}, name


def test_the_walk_sees_what_it_should() -> None:
    """A walk that finds nothing would keep no rule."""
    assert len(modules()) > 30
    assert any(name == "granian.server.mp" for _, name in imports("nora.server"))
    assert any(name == "nora.app" for _, name in imports("nora.server")), "imports in functions count"
    assert any(name == "nora.catalog.records" for _, name in imports("nora.blobs.base"))
    assert "blacksheep" in {name.split(".")[0] for _, name in imports("nora.formats.base")}
    assert sys.version_info >= (3, 11)
