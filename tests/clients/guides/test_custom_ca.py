"""docs/custom-ca.md: clients that trust an authority of the reader's own, and upstreams below one."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.clients.guides.conftest import NewTerminal
from tests.support import certificates, images
from tests.support.certificates import Certificates
from tests.support.command import run
from tests.support.guides import Guide, replaced, typed
from tests.support.pypi_index import PyPIIndex
from tests.support.python_clients import installed
from tests.support.server import running
from tests.support.upstream import upstream
from tests.support.wheels import Release

GUIDE = Guide("custom-ca")
pytestmark = pytest.mark.client("skopeo")


@pytest.fixture
def made(tmp_path: Path) -> Certificates:
    return certificates.make(tmp_path / "tls")


def test_clients_trust_the_authority(
    made: Certificates, terminal: NewTerminal, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    shell = terminal("uv", "twine")
    (shell.folder / "ca.crt").write_bytes(made.authority.read_bytes())
    (shell.folder / "authority").symlink_to(made.authority.parent)
    release = Release(project="acme-lib")
    release.wheel().write(shell.folder / "dist")
    layout = images.single(shell.folder / "app", request.node.name)
    run("skopeo", "--insecure-policy", "copy", f"oci:{layout.path}:v1", f"oci:{shell.folder}/app:1")
    (policy := tmp_path / "home/.config/containers").mkdir(parents=True)
    (policy / "policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
    shell.env |= {"HOME": str(tmp_path / "home"), "TWINE_USERNAME": "any", "TWINE_PASSWORD": "any"}
    start, use = GUIDE.blocks("console", "Inwards")
    assert "NORA_TLS_CERT=chain.pem NORA_TLS_KEY=key.pem nora serve" in start
    env = {"NORA_TLS_CERT": str(made.certificate), "NORA_TLS_KEY": str(made.key)}
    with running(tmp_path, env=env) as server:
        pip, uv, twine, skopeo = typed(replaced(use, {"localhost:4000": f"localhost:{server.port}"}))
        shell.type(twine, pip)
        assert installed(Path(shell.env["VIRTUAL_ENV"]))["acme_lib"] == "1.0"
        shell.type("pip uninstall --yes acme-lib", uv, skopeo)
        assert installed(Path(shell.env["VIRTUAL_ENV"]))["acme_lib"] == "1.0"


@pytest.fixture
def index_below_it(made: Certificates) -> Iterator[str]:
    index = PyPIIndex()
    index.add(Release(project="acme-lib").wheel())
    with upstream(tls=made) as up:
        index.mount(up)
        yield f"{up.url}/simple"


ALL, ONE = GUIDE.blocks("toml", "Outwards")


@pytest.mark.parametrize("block", [ALL, ONE], ids=["all", "one"])
def test_an_upstream_below_the_authority_is_asked(
    block: str, index_below_it: str, made: Certificates, tmp_path: Path
) -> None:
    address = "https://pypi.example.com/simple"
    text = replaced(block, {"/etc/nora/ca.crt": str(made.authority)}).replace(address, index_below_it)
    if "upstreams" not in text:
        text += f'[pypi]\nupstreams = ["{index_below_it}"]\n'
    assert page(tmp_path / "with", text).status_code == 200
    said = tomllib.loads(text)["pypi"]["upstreams"]
    without = said[0]["url"] if isinstance(said[0], dict) else said[0]
    assert page(tmp_path / "without", f'[pypi]\nupstreams = ["{without}"]\n').status_code >= 500


def page(folder: Path, text: str) -> httpx.Response:
    folder.mkdir()
    (folder / "config.toml").write_text(text)
    env = {"NORA_CONFIG_PATH": str(folder / "config.toml"), "NORA_PROXY_MODE": "online"}
    with running(folder, env=env) as server:
        return httpx.get(f"{server.url}/simple/acme-lib/", trust_env=False, timeout=60)
