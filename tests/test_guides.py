"""The guides of docs/: each has a test that does what it says, and what it configures can be configured."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nora.config import repository_specs
from nora.formats import load_config
from tests.support import certificates
from tests.support.guides import GUIDES, Guide
from tests.support.tables import each

ROOT = Path(__file__).parent.parent
RUN = {"toml", "console", "nginx", "caddy", "yaml", "groovy"}
STATIC = "[entryPoints."
"""The beginning of what is for Traefik and not for NORA, like `[http.`."""


@each("name", GUIDES)
def test_a_guide_is_run_by_a_test_of_its_name(name: str) -> None:
    test = ROOT / "tests/clients/guides" / f"test_{name.replace('-', '_')}.py"
    text = test.read_text("utf-8")
    assert f'Guide("{name}")' in text
    languages = set(re.findall(r"^```(\w+)$", Guide(name).text, re.MULTILINE))
    assert languages <= RUN
    for language in languages:
        assert re.search(rf'blocks?\("{language}"', text), language


@each("name", GUIDES)
def test_readme_leads_to_a_guide(name: str) -> None:
    assert f"(docs/{name}.md)" in (ROOT / "README.md").read_text("utf-8")


@pytest.mark.parametrize("name", GUIDES)
def test_what_a_guide_configures_can_be_configured(name: str, tmp_path: Path) -> None:
    made = certificates.make(tmp_path / "tls")
    for block in Guide(name).all_blocks("toml"):
        if block.startswith(("[http.", STATIC)):
            continue
        for file in set(re.findall(r"/etc/nora/([\w.]+)", block)):
            (tmp_path / file).write_bytes(made.authority.read_bytes() if file == "ca.crt" else b"secret\n")
        (tmp_path / "config.toml").write_text(block.replace("/etc/nora/", f"{tmp_path}/"))
        config = load_config({}, tmp_path)
        assert repository_specs(config)
        assert not config.warnings
