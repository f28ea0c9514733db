"""docs/several-sources.md: three sources in one index, with pip."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.clients.guides.conftest import NewTerminal
from tests.support.guides import Guide, Terminal, replaced, typed
from tests.support.pypi_index import PyPIIndex
from tests.support.python_clients import installed
from tests.support.server import Server, running
from tests.support.upstream import Upstream, upstream
from tests.support.wheels import Release

GUIDE = Guide("several-sources")
MERGED, EXTENDED = GUIDE.blocks("toml", "Names that are in two of them")
pytestmark = pytest.mark.client


@dataclass(frozen=True, slots=True)
class Index:
    up: Upstream
    index: PyPIIndex

    def add(self, project: str, version: str) -> None:
        self.index.add(Release(project=project, version=version).wheel())

    @property
    def url(self) -> str:
        return f"{self.up.url}/simple"

    def asked(self, project: str) -> bool:
        return any(project in path for path in self.up.log.paths())


@pytest.fixture
def own() -> Iterator[Index]:
    yield from serving()


@pytest.fixture
def wheels() -> Iterator[Index]:
    yield from serving()


@pytest.fixture
def public() -> Iterator[Index]:
    yield from serving()


def serving() -> Iterator[Index]:
    with upstream() as up:
        index = PyPIIndex()
        index.mount(up)
        yield Index(up, index)


def started(stack: ExitStack, folder: Path, text: str, shell: Terminal) -> Server:
    (folder / "config.toml").write_text(text)
    env = {"NORA_CONFIG_PATH": str(folder / "config.toml"), "NORA_PROXY_MODE": "online"}
    server = stack.enter_context(running(folder, env=env))
    shell.env |= env | {"NORA_STORAGE_PATH": str(server.storage)}
    return server


def own_packages(shell: Terminal) -> dict[str, str]:
    found = installed(Path(shell.env["VIRTUAL_ENV"]))
    return {name: version for name, version in found.items() if name not in ("pip", "setuptools")}


def test_each_name_comes_from_its_source(
    own: Index, wheels: Index, public: Index, terminal: NewTerminal, tmp_path: Path
) -> None:
    own.add("acme-lib", "1.0")
    wheels.add("torch", "2.0")
    for name in ("acme-lib", "torch", "requests"):
        public.add(name, "99.0")
    (tmp_path / "pypi").write_text("secret\n")
    block = replaced(
        GUIDE.block("toml"),
        {
            "https://pypi.example.com/simple": own.url,
            "https://wheels.example.com/whl/cu128": wheels.url,
            '"default"': f'"{public.url}"',
            "/etc/nora/": f"{tmp_path}/",
        },
    )
    shell = terminal()
    with ExitStack() as stack:
        server = started(stack, tmp_path, block, shell)
        install, source = GUIDE.blocks("console")
        shell.type(*typed(replaced(install, {"localhost:4000": server.address})))
        assert wheels.up.url.removeprefix("http://") in shell.type(*typed(source))
    assert own_packages(shell) == {"acme_lib": "1.0", "requests": "99.0", "torch": "2.0"}
    assert [one.asked("acme") for one in (wheels, public)] == [False, False]
    assert not public.asked("torch")


def test_names_in_two_of_them_are_one_page(
    wheels: Index, public: Index, terminal: NewTerminal, tmp_path: Path
) -> None:
    public.add("torch", "2.0")
    wheels.add("torch", "2.1")
    block = replaced(
        MERGED,
        {
            "https://wheels.example.com/whl/cu128": wheels.url,
            '"default"': f'"{public.url}"',
        },
    )
    shell = terminal()
    with ExitStack() as stack:
        server = started(stack, tmp_path, f"{block}{EXTENDED}", shell)
        for version in ("2.0", "2.1"):
            shell.type(f"pip install --index-url {server.url}/simple/ torch=={version}")
            assert own_packages(shell) == {"torch": version}


def test_a_job_may_have_an_address_with_other_sources(
    wheels: Index, public: Index, terminal: NewTerminal, tmp_path: Path
) -> None:
    wheels.add("torch", "2.0")
    public.add("torch", "99.0")
    block = replaced(
        GUIDE.block("toml", "Each with its own address"),
        {"https://wheels.example.com/whl/cu128": wheels.url},
    )
    shell = terminal()
    with ExitStack() as stack:
        text = f'[pypi]\nupstreams = ["{public.url}"]\n{block}'
        server = started(stack, tmp_path, text, shell)
        command = GUIDE.block("console", "Each with its own address")
        shell.type(*typed(replaced(command, {"localhost:4000": server.address})))
    assert own_packages(shell) == {"torch": "2.0"}
