"""`nora check-config --online`: what is said of upstreams that are asked once."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from nora.cli.check_config import command
from nora.formats import discover
from tests.support.answers import NEVER, Answer, Asked, document
from tests.support.crate_index import CrateIndex
from tests.support.in_process import application
from tests.support.oci_upstream import OCIUpstream
from tests.support.pypi_index import PyPIIndex
from tests.support.upstream import Upstream

BASIC = f"Basic {base64.b64encode(b'nora:secret').decode()}"
HTML = "text/html"


@pytest.fixture
def index(upstream: Upstream) -> PyPIIndex:
    found = PyPIIndex()
    found.mount(upstream)
    return found


def check(folder: Path, monkeypatch: pytest.MonkeyPatch, **environ: str) -> Result:
    """The command, with whom the formats ask, and nobody else."""
    monkeypatch.chdir(folder)
    off = {f"NORA_{one.name.upper()}_PROXY": "off" for one in discover() if one.can_proxy}
    env = {"NORA_PROXY_RETRIES": "0", **off, **environ}
    return CliRunner().invoke(command, ["--online"], env=env)


def test_an_index_is_fine(
    index: PyPIIndex, upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = check(tmp_path, monkeypatch, NORA_PYPI_PROXY=f"{upstream.url}/simple")
    assert (result.exit_code, result.stderr) == (0, f"pypi-proxy {upstream.url}/simple: fine\n")
    assert upstream.log.count("GET") == 0


def test_any_server_that_answers_has_files(
    upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for status, auth, is_fine in (
        (200, "", True),
        (404, "", True),
        (403, "", True),
        (403, "nora:secret", False),
        (401, "nora:secret", False),
        (500, "", False),
    ):
        upstream.serve("/files/", Answer(status=status))
        env = {"NORA_RAW_PROXY": f"{upstream.url}/files", **({"NORA_RAW_PROXY_AUTH": auth} if auth else {})}
        result = check(tmp_path, monkeypatch, **env)
        assert (result.exit_code == 0) is is_fine, (status, auth, result.stderr)


def test_a_simple_that_was_forgotten_is_told(
    index: PyPIIndex, upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream.serve("/", document(b"<html>welcome</html>", HTML))
    result = check(tmp_path, monkeypatch, NORA_PYPI_PROXY=upstream.url)
    assert result.exit_code == 1
    assert f"that is at {upstream.url}/simple" in result.stderr


def test_nothing_at_the_address_is_told(
    upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = check(tmp_path, monkeypatch, NORA_PYPI_PROXY=f"{upstream.url}/other/simple")
    assert result.exit_code == 1
    assert "look at the path" in result.stderr


@pytest.mark.parametrize("status", [404, 405])
def test_an_index_without_a_list_is_fine(
    status: int, upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream.serve("/whl/", Answer(status=status))
    upstream.serve(
        "/whl/pip/", document(b"<a href='pip-1-py3-none-any.whl'>pip-1-py3-none-any.whl</a>", HTML)
    )
    result = check(tmp_path, monkeypatch, NORA_PYPI_PROXY=f"{upstream.url}/whl")
    assert (result.exit_code, result.stderr) == (0, f"pypi-proxy {upstream.url}/whl: fine\n")


def test_credentials_that_are_refused_are_told(
    index: PyPIIndex, upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def guard(asked: Asked) -> Answer | None:
        wanted = Answer(status=401, headers={"www-authenticate": 'Basic realm="team"'})
        return None if asked.headers.get("authorization") == BASIC else wanted

    upstream.guard = guard
    url = f"{upstream.url}/simple"
    for credentials, told in (("", "wants credentials"), ("|nora:wrong", "does not take the credentials")):
        result = check(tmp_path, monkeypatch, NORA_PYPI_UPSTREAMS=url + credentials)
        assert result.exit_code == 1
        assert told in result.stderr
        assert "wrong" not in result.stderr.replace("they are wrong", "")
    assert check(tmp_path, monkeypatch, NORA_PYPI_UPSTREAMS=f"{url}|nora:secret").exit_code == 0


def test_each_address_is_asked_by_itself(
    index: PyPIIndex, upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = "http://127.0.0.1:1/simple"
    said = f'[{{"url": "{gone}", "mirrors": ["{upstream.url}/simple"]}}]'
    result = check(tmp_path, monkeypatch, NORA_PYPI_UPSTREAMS=said)
    assert result.exit_code == 1
    assert f"{gone}: error: " in result.stderr
    assert f"{upstream.url}/simple: fine" in result.stderr


def test_silence_ends(upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nora.formats.upstream_checks.SECONDS", 0.5)
    upstream.fault = Answer(delay=NEVER)
    result = check(tmp_path, monkeypatch, NORA_PYPI_PROXY=f"{upstream.url}/simple")
    assert result.exit_code == 1
    assert "did not answer within 0.5 seconds" in result.stderr


def test_who_is_offline_asks_nobody(
    upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = {"NORA_PYPI_PROXY": f"{upstream.url}/simple", "NORA_PROXY_MODE": "offline"}
    assert check(tmp_path, monkeypatch, **env).exit_code == 0
    assert upstream.log.requests == []


# -- images ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tokens", [True, False])
def test_a_registry_is_fine(
    tokens: bool, upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    OCIUpstream(tokens=tokens, library=False).mount(upstream)
    result = check(tmp_path, monkeypatch, NORA_DOCKER_PROXY=upstream.url)
    assert (result.exit_code, result.stderr) == (0, f"docker-proxy {upstream.url}: fine\n")


def test_a_registry_that_does_not_take_the_credentials(
    upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    OCIUpstream(tokens=True, users={"nora": "secret"}, library=False).mount(upstream)
    for password, code in (("secret", 0), ("wrong", 1)):
        result = check(tmp_path, monkeypatch, NORA_DOCKER_UPSTREAMS=f"{upstream.url}|nora:{password}")
        assert result.exit_code == code, result.stderr
    assert "does not take the credentials" in result.stderr


@pytest.mark.parametrize(("path", "told"), [("/v2", "leave out the /v2"), ("/x", "there is no registry at")])
def test_a_path_that_is_none_of_a_registry(
    path: str, told: str, upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    OCIUpstream(library=False).mount(upstream)
    result = check(tmp_path, monkeypatch, NORA_DOCKER_PROXY=f"{upstream.url}{path}")
    assert result.exit_code == 1
    assert told in result.stderr


def test_a_site_that_is_no_registry(
    upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream.serve("/v2/", document(b"<html>", HTML))
    result = check(tmp_path, monkeypatch, NORA_DOCKER_PROXY=upstream.url)
    assert (result.exit_code, "there is no registry" in result.stderr) == (1, True)


# -- the log of the server -----------------------------------------------------------------------------------


@pytest.mark.anyio
@pytest.mark.parametrize(("path", "warnings"), [("", 1), ("/simple", 0)])
async def test_the_first_absence_at_an_odd_address_is_told_once(
    path: str, warnings: int, upstream: Upstream, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with application(tmp_path, NORA_PYPI_PROXY=upstream.url + path) as http:
        for project in ("one", "two"):
            assert (await http.get(f"/simple/{project}/")).status_code == 404
    told = [one for one in caplog.records if "check-config --online" in one.getMessage()]
    assert len(told) == warnings


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def test_a_sparse_index_is_told_from_what_is_none(
    upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    CrateIndex(prefix="/index").mount(upstream)
    upstream.serve("/api/config.json", document(b"{}", "application/json"))
    for path, told in (
        ("/index", "fine"),
        ("", "there is no config.json"),
        ("/api", "does not say where crates are"),
    ):
        result = check(tmp_path, monkeypatch, NORA_CARGO_PROXY=upstream.url + path)
        assert (result.exit_code == 0, told in result.stderr) == (told == "fine", True), result.stderr
