"""docs/air-gapped.md: what one server has collected installs from its copy, with nobody left to ask."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.clients.guides.conftest import NewTerminal
from tests.support import images
from tests.support.guides import Guide, Terminal, replaced, typed
from tests.support.oci_upstream import OCIUpstream
from tests.support.pypi_index import PyPIIndex
from tests.support.python_clients import installed
from tests.support.server import Server
from tests.support.upstream import upstream
from tests.support.wheels import Release

GUIDE = Guide("air-gapped")
pytestmark = pytest.mark.client("skopeo", "tar")


def test_a_copy_of_what_was_collected_outside_serves_inside(terminal: NewTerminal, tmp_path: Path) -> None:
    shell = terminal("twine")
    (shell.folder / "requirements.txt").write_text("app\n")
    (policy := shell.folder / "home" / ".config/containers").mkdir(parents=True)
    (policy / "policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
    shell.env["HOME"] = str(shell.folder / "home")
    _, collect, copy = GUIDE.blocks("console", "Outside")
    unpack, use = GUIDE.blocks("console", "Inside")
    with ExitStack() as stack:
        up, hub = stack.enter_context(upstream()), stack.enter_context(upstream())
        index, registry = PyPIIndex(), OCIUpstream()
        index.add(Release(project="app", requires=["lib>=1"]).wheel())
        index.add(
            Release(project="lib", version="1.5").sdist(), Release(project="lib", version="1.4").wheel()
        )
        index.mount(up)
        registry.add("library/alpine", images.single(tmp_path / "layout"), tag="3")
        registry.mount(hub)
        # Both have the same configuration.
        env = {
            "NORA_STORAGE_PATH": str(shell.folder / "outside"),
            "NORA_PYPI_UPSTREAMS": f"{up.url}/simple",
            "NORA_DOCKER_UPSTREAMS": hub.url,
        }
        outside = Server(shell.folder, tmp_path / "outside.log", env=env | {"NORA_PROXY_MODE": "online"})
        outside.start()
        stack.callback(outside.kill)
        shell.type(*on(shell, collect, outside))
        outside.stop()
        shell.type(*typed(copy))
    shutil.rmtree(shell.folder / "outside")
    shell.type(*typed(unpack))
    inside = Server(shell.folder, tmp_path / "inside.log", env=env | {"NORA_PROXY_MODE": "offline"})
    inside.start()
    try:
        shell.type(*on(shell, use, inside))
        by_hand = GUIDE.block("console", "By hand")
        shell.env |= {"TWINE_USERNAME": "any", "TWINE_PASSWORD": "any"}
        shell.type(*on(shell, by_hand, inside))
    finally:
        inside.stop()
    assert {"app": "1.0", "lib": "1.5"}.items() <= installed(Path(shell.env["VIRTUAL_ENV"])).items()


def on(shell: Terminal, block: str, server: Server) -> list[str]:
    """The commands of a block with the address of a server, and files in the folder of the test."""
    values = {"localhost:4000": server.address, "/tmp/": f"{shell.folder}/"}
    return typed(replaced(block, {old: new for old, new in values.items() if old in block}))
