"""docs/private-upstreams.md: the block of each product beside a public index, with pip; and one of images."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest

from tests.clients.guides.conftest import NewTerminal
from tests.support import images
from tests.support.answers import Answer, Asked
from tests.support.guides import Guide, replaced, typed
from tests.support.oci_upstream import OCIUpstream
from tests.support.pypi_index import PyPIIndex
from tests.support.python_clients import installed
from tests.support.server import Server, running
from tests.support.upstream import Upstream, upstream
from tests.support.wheels import Release

GUIDE = Guide("private-upstreams")
SECRET = "s3cret-of-the-reader"
BASIC = f"Basic {base64.b64encode(f'nora:{SECRET}'.encode()).decode()}"
PRODUCTS = {
    "devpi": ("https://devpi.example.com", "/team/prod", BASIC),
    "GitLab": ("https://gitlab.example.com", "/api/v4/groups/42/-/packages/pypi", BASIC),
    "Artifactory": (
        "https://artifactory.example.com",
        "/artifactory/api/pypi/pypi-local",
        f"Bearer {SECRET}",
    ),
    "Nexus": ("https://nexus.example.com", "/repository/pypi-internal", BASIC),
}
pytestmark = pytest.mark.client


@dataclass(frozen=True, slots=True)
class Indexes:
    """The team's index and the public one, and where they are."""

    own: PyPIIndex
    private: Upstream
    index: PyPIIndex
    public: Upstream


@pytest.fixture
def indexes() -> Iterator[Indexes]:
    with upstream() as private, upstream() as public:
        index = PyPIIndex()
        index.mount(public)
        yield Indexes(PyPIIndex(json=False, metadata=False, hrefs="relative"), private, index, public)


def serve_below(base: str, authorization: str, found: Indexes) -> None:
    """The team's index below a path, for who shows the credentials."""

    def answer(asked: Asked) -> Answer | None:
        if asked.headers.get("authorization") != authorization:
            return Answer(status=401, headers={"www-authenticate": 'Basic realm="team"'})
        target = asked.target.removeprefix(base).replace("/+simple/", "/simple/", 1)
        return found.own(replace(asked, target=target))

    found.private.mount(f"{base}/", answer)


def started(
    stack: ExitStack, folder: Path, block: str, heading: str, found: Indexes, secret: str = SECRET
) -> Server:
    """NORA with the block of a product, its secret where the block says."""
    secrets = folder / "secrets"
    secrets.mkdir()
    for name in ("devpi", "gitlab", "artifactory", "nexus", "harbor"):
        (secrets / name).write_text(f"{secret}\n")
    text = replaced(
        block,
        {
            heading: found.private.url,
            "/etc/nora/": f"{secrets}/",
            '"default"': f'"{found.public.url}/simple"',
        },
    )
    (folder / "config.toml").write_text(text)
    env = {"NORA_CONFIG_PATH": str(folder / "config.toml"), "NORA_PROXY_MODE": "online"}
    return stack.enter_context(running(folder, env=env))


@pytest.mark.parametrize("product", PRODUCTS)
def test_names_of_the_team_come_from_its_index_only(
    product: str, indexes: Indexes, terminal: NewTerminal, tmp_path: Path
) -> None:
    site, base, authorization = PRODUCTS[product]
    serve_below(base, authorization, indexes)
    indexes.own.add(Release(project="acme-lib", version="1.0", requires=["helper"]).wheel())
    indexes.index.add(Release(project="acme-lib", version="99.0").wheel())
    indexes.index.add(Release(project="helper", version="2.0").wheel())
    shell = terminal()
    with ExitStack() as stack:
        server = started(stack, tmp_path, GUIDE.block("toml", product), site, indexes)
        shell.env |= {"NORA_CONFIG_PATH": str(tmp_path / "config.toml"), "NORA_DOCKER_PROXY": "off"}
        check, install = typed(GUIDE.block("console"))
        assert ": error:" not in shell.type(check)
        shell.type(replaced(install, {"localhost:4000": server.address}))
    assert installed(Path(shell.env["VIRTUAL_ENV"])) | {"pip": "", "setuptools": ""} == {
        "acme_lib": "1.0",
        "helper": "2.0",
        "pip": "",
        "setuptools": "",
    }
    assert not any("acme" in path for path in indexes.public.log.paths())


def test_credentials_that_are_refused_are_told(
    indexes: Indexes, terminal: NewTerminal, tmp_path: Path
) -> None:
    site, base, authorization = PRODUCTS["GitLab"]
    serve_below(base, authorization, indexes)
    shell = terminal()
    with ExitStack() as stack:
        block = GUIDE.block("toml", "GitLab")
        server = started(stack, tmp_path, block, site, indexes, secret="of last year")
        shell.env |= {"NORA_CONFIG_PATH": str(tmp_path / "config.toml"), "NORA_DOCKER_PROXY": "off"}
        check, install = typed(GUIDE.block("console"))
        assert "does not take the credentials" in shell.type(check, fails=True)
        shell.type(replaced(install, {"localhost:4000": server.address}), fails=True)
        log = server.log.read_text()
        assert "does not take the credentials" in log
        assert "of last year" not in log


def test_images_of_the_prefix_come_from_the_own_registry(
    indexes: Indexes, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    harbor = OCIUpstream(tokens=True, users={"robot$nora": SECRET}, library=False)
    layout = images.single(tmp_path / "layout", request.node.name)
    harbor.add("team/app", layout, tag="1")
    harbor.mount(indexes.private)
    with ExitStack() as stack:
        block = GUIDE.block("toml", "Images")
        server = started(stack, tmp_path, block, "https://harbor.example.com", indexes)
        pulled = httpx.get(f"{server.url}/v2/corp/team/app/manifests/1", trust_env=False)
        assert pulled.status_code == 200, pulled.text
    assert not indexes.public.log.requests
