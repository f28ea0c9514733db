"""What a format of another distribution gets without an edit anywhere else: see tests/formats/toyformat."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from nora.formats.samples import Sample
from tests.contracts.formats import FormatContract
from tests.formats.toyformat.samples import SAMPLE
from tests.support.distributions import install_format
from tests.support.server import Server, running

pytestmark = pytest.mark.slow

BEAR, LION = b"a bear", b"a lion"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return install_format(
        Path(__file__).parent / "toyformat", tmp_path_factory.mktemp("toyformat"), "nora_toys"
    )


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, installed: dict[str, str]) -> Iterator[Server]:
    """Where toys are hosted."""
    with running(tmp_path_factory.mktemp("shop"), env=installed) as server:
        yield server


@pytest.fixture(scope="module")
def mirror(
    tmp_path_factory: pytest.TempPathFactory, installed: dict[str, str], shop: Server
) -> Iterator[Server]:
    """What asks the shop."""
    sources = {"NORA_PROXY_MODE": "online", "NORA_TOYS_UPSTREAMS": f"{shop.url}/toys"}
    with running(tmp_path_factory.mktemp("mirror"), env={**installed, **sources}) as server:
        yield server


@pytest.fixture
def http(shop: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=shop.url, timeout=30, trust_env=False) as client:
        yield client


@pytest.fixture
def cached(mirror: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=mirror.url, timeout=30, trust_env=False) as client:
        yield client


class TestToys(FormatContract):
    """The toys keep the contract of all formats."""

    @pytest.fixture
    def sample(self) -> Sample:
        return SAMPLE


def test_toys_are_hosted_and_listed(http: httpx.Client) -> None:
    assert http.put("/toys/bear/1.0", content=BEAR).status_code == 201
    assert http.put("/toys/bear/1.0", content=LION).status_code == 409
    assert http.get("/toys/bear/1.0").content == BEAR
    assert [*http.get("/toys/bear").json()["versions"]] == ["1.0"]
    assert "bear" in http.get("/toys/").json()["toys"]


def test_toys_of_others_are_cached_and_listed(http: httpx.Client, cached: httpx.Client) -> None:
    assert cached.get("/toys/lion").status_code == 404
    assert http.put("/toys/lion/1.0", content=LION).status_code == 201
    assert http.put("/toys/tiger/1.0", content=LION).status_code == 201
    for _ in range(2):
        assert cached.get("/toys/tiger/1.0").content == LION
    assert cached.get("/toys/tiger/2.0").status_code == 404
    assert cached.get("/toys/tiger").json() == http.get("/toys/tiger").json()
    assert "tiger" in cached.get("/toys/").json()["toys"]


def test_what_upstreams_have_is_not_written_over(http: httpx.Client, cached: httpx.Client) -> None:
    """A name that a source has served is for administrators, which everybody is here, and ours then."""
    assert http.put("/toys/fox/1.0", content=LION).status_code == 201
    assert cached.get("/toys/fox/1.0").content == LION
    assert cached.put("/toys/fox/1.0", content=BEAR).status_code == 201
    assert cached.get("/toys/fox/1.0").content == BEAR


def test_a_toy_of_ones_own_is_asked_of_nobody(http: httpx.Client, cached: httpx.Client) -> None:
    assert cached.put("/toys/own/1.0", content=BEAR).status_code == 201
    assert http.put("/toys/own/99.0", content=LION).status_code == 201
    assert [*cached.get("/toys/own").json()["versions"]] == ["1.0"]
    assert cached.get("/toys/own/99.0").status_code == 404


def test_a_toy_is_deleted_for_good(http: httpx.Client) -> None:
    for version in ("1.0", "2.0"):
        assert http.put(f"/toys/duck/{version}", content=BEAR).status_code == 201
    assert http.delete("/toys/duck/1.0").json() == {"toy": "duck", "deleted": 1}
    assert http.get("/toys/duck/1.0").status_code == 404
    assert http.put("/toys/duck/1.0", content=BEAR).status_code == 409
    assert http.delete("/toys/duck").status_code == 200
    assert http.get("/toys/duck").status_code == 404


def test_its_settings_and_commands_are_those_of_any_format(
    installed: dict[str, str], shop: Server, http: httpx.Client
) -> None:
    def nora(*arguments: str, **environ: str) -> str:
        done = subprocess.run(
            [*shop.command[:-1], *arguments],
            env={**shop.environment(), **environ},
            cwd=shop.data,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout + done.stderr

    assert "[toys]" in nora("check-config")
    assert '| `largest` | `NORA_TOYS_LARGEST` | `"1GiB"` |' in nora("check-config", "--reference")
    assert "did you mean NORA_TOYS_LARGEST?" in nora("check-config", NORA_TOYS_LARGE="1")
    assert http.put("/toys/doll/1.0", content=BEAR).status_code == 201
    assert "deleted for good: 1 of doll 1.0" in nora("toys", "delete", "doll", "1.0")
    assert http.get("/toys/doll/1.0").status_code == 404


def test_it_is_one_small_folder() -> None:
    folder = Path(__file__).parent / "toyformat"
    assert sum(len(path.read_text().splitlines()) for path in folder.rglob("*.py")) <= 150
