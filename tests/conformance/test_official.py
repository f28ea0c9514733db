"""The official conformance program of the OCI Distribution Specification, with nothing switched off.

It is built by `go install github.com/opencontainers/distribution-spec/conformance` (.ci/install.sh pins it).
The profile `1.1` asks what the released specification demands, `dev` what its main branch adds.

Its sparse data pushes an image one of whose layers is missing. That is refused by default, because a broken
push looks the same; so the full data runs with `docker.required_content = "none"`, and the default
configuration with everything but the sparse data.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import httpx
import pytest

from tests.conftest import StartServer
from tests.support.access import PASSWORD, USER, write_users
from tests.support.server import Server, running

pytestmark = pytest.mark.client("conformance")

# What each profile counts at least: a run that asks less than this has lost a part of itself.
EXPECTED = {"1.1": 840, "dev": 980}


@dataclass(frozen=True, slots=True)
class Counts:
    passed: int
    failed: int
    skipped: int
    disabled: int


def read_counts(report: Path) -> Counts:
    """Totals of the program's junit.xml: `tests` counts every status; `disabled` lies outside the profile."""
    suite = ElementTree.parse(report).getroot()[0]
    tests, failures, errors, skipped, disabled = (
        int(suite.get(name, "0")) for name in ("tests", "failures", "errors", "skipped", "disabled")
    )
    return Counts(tests - failures - errors - skipped - disabled, failures + errors, skipped, disabled)


def read_failures(report: Path) -> str:
    """The names of what did not pass, with the program's reasons."""
    lines = []
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        if case.get("status") not in ("passed", None):
            reason = case.findtext("system-out") or ""
            lines.append(f"{case.get('status')} {case.get('name')}: {reason[:300]}")
    return "\n".join(lines[:60])


def conform(server: Server, profile: str, sparse: str, folder: Path, **credentials: str) -> Counts:
    """Run the program; whatever did not pass or was not asked is an AssertionError."""
    results = folder / "results"
    run = subprocess.run(
        ["conformance"],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if not name.startswith("OCI_")}
        | {
            "OCI_REGISTRY": server.address,
            "OCI_TLS": "disabled",
            "OCI_VERSION": profile,
            "OCI_DATA_SPARSE": sparse,
            "OCI_RESULTS_DIR": str(results),
            **credentials,
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    counts = read_counts(results / "junit.xml")
    assert counts.failed == 0, read_failures(results / "junit.xml")
    assert counts.skipped == 0, read_failures(results / "junit.xml")
    assert counts.passed >= EXPECTED[profile]
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-4000:]
    return counts


def told(how: str, counts: Counts) -> str:
    """What the summary of the run shows of it."""
    return (
        f"conformance {how}: {counts.passed} passed, {counts.failed} failed, {counts.skipped} skipped "
        f"({counts.disabled} not in this profile)"
    )


# The sparse data has an image that lacks a layer. NORA's default refuses it, since to a user that is a broken
# push; the specification allows both. Each two of profile, workers and data meet once.
@pytest.mark.parametrize(
    ("profile", "workers", "required_content", "sparse"),
    [
        ("1.1", 4, "none", "true"),
        ("1.1", 1, "image", "false"),
        ("dev", 1, "none", "true"),
        ("dev", 4, "image", "false"),
    ],
)
def test_official_conformance(
    nora_server: StartServer,
    tmp_path: Path,
    profile: str,
    workers: int,
    required_content: str,
    sparse: str,
    record_property: Callable[[str, object], None],
) -> None:
    nora = nora_server(workers=workers, env={"NORA_DOCKER_REQUIRED_CONTENT": required_content})
    counts = conform(nora, profile, sparse, tmp_path)
    record_property("run", told(f"{profile}, {workers} workers, sparse data {sparse}", counts))


# The address that a server is bound to decides how it asks: with 127.0.0.2 it takes itself for one that
# others can reach, and then a request's Host is not believed, so that it can name no token service.
@pytest.mark.parametrize(
    ("profile", "scheme", "host"), [("dev", "Bearer", "127.0.0.1"), ("1.1", "Basic", "127.0.0.2")]
)
def test_official_conformance_with_credentials(
    tmp_path: Path, profile: str, scheme: str, host: str, record_property: Callable[[str, object], None]
) -> None:
    users = write_users(tmp_path / "users", **{USER: PASSWORD})
    settings = {
        "NORA_AUTH_ENABLED": "true",
        "NORA_AUTH_HTPASSWD_FILE": str(users),
        "NORA_AUTH_ADMIN_USERS": USER,
        "NORA_AUTH_TRUSTED_PROXIES": "192.0.2.1",
        "NORA_DOCKER_REQUIRED_CONTENT": "none",
    }
    with running(tmp_path, workers=4, env=settings, host=host) as nora:
        asked = httpx.get(f"{nora.url}/v2/", trust_env=False)
        assert (asked.status_code, asked.headers["www-authenticate"].split()[0]) == (401, scheme)
        counts = conform(nora, profile, "true", tmp_path, OCI_USERNAME=USER, OCI_PASSWORD=PASSWORD)
    record_property("run", told(f"{profile}, 4 workers, {scheme}", counts))
