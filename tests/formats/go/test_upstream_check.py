"""What `nora check-config --online` says of an upstream of Go modules."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from nora.cli.check_config import command
from nora.formats import discover
from tests.support.answers import Answer, document
from tests.support.upstream import Upstream


def test_a_module_proxy_is_told_from_other_sites(
    upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    off = {f"NORA_{one.name.upper()}_PROXY": "off" for one in discover() if one.can_proxy}
    env = {"NORA_PROXY_RETRIES": "0", **off, "NORA_GO_PROXY": upstream.url}
    for answer, is_fine in (
        (document(b"v0.1.0\nv0.2.0\n"), True),
        (document(b""), True),
        (Answer(status=404), True),  # one of private modules alone
        (document(b"<html>Welcome</html>"), False),
        (Answer(status=403), False),
        (Answer(status=500), False),
    ):
        upstream.serve("/golang.org/x/text/@v/list", answer)
        result = CliRunner().invoke(command, ["--online"], env=env)
        assert (result.exit_code == 0, "fine" in result.stderr) == (is_fine, is_fine), result.stderr
    assert f"go-proxy {upstream.url}" in result.stderr
