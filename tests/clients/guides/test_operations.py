"""docs/operations.md: a backup of a server that serves is rehearsed beside it."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.clients.guides.conftest import NewTerminal
from tests.support.guides import Guide, replaced, typed
from tests.support.server import Server

GUIDE = Guide("operations")
pytestmark = pytest.mark.client("curl")


def test_a_backup_is_made_and_rehearsed(terminal: NewTerminal, tmp_path: Path) -> None:
    shell = terminal()
    (shell.folder / "config.toml").write_text(GUIDE.block("toml", "What runs by itself"))
    make, restore, pull = GUIDE.blocks("console", "Backup, and its rehearsal")
    storage = {"NORA_STORAGE_PATH": str(shell.folder / "storage")}
    shell.env |= storage
    server = Server(shell.folder, tmp_path / "server.log", env=storage)
    server.start()
    try:
        stored = httpx.put(f"{server.url}/raw/releases/tool.tar.gz", content=b"a tool", trust_env=False)
        assert stored.status_code == 201
        shell.type(*typed(make))
        shell.type(*typed(restore))
        again = Server(shell.folder, tmp_path / "again.log", env={"NORA_STORAGE_PATH": "rehearsal"})
        again.start()
        try:
            get, remove = typed(replaced(pull, {"localhost:4001": again.address}))
            shell.type(get)
        finally:
            again.stop()
        assert (shell.folder / "pulled").read_bytes() == b"a tool"
        shell.type(remove)
        shell.type(*typed(GUIDE.block("console", "Upgrade")))
    finally:
        server.stop()
    assert not (shell.folder / "rehearsal").exists()
    assert (shell.folder / "before-the-upgrade.tar.zst").stat().st_size > 0
