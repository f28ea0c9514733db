"""docs/ci.md: the steps of each CI system, with an identity that an issuer of the test signs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml

from tests.clients.guides.conftest import NewTerminal
from tests.support import containers
from tests.support.access import make_token
from tests.support.guides import Guide, Terminal, replaced, typed
from tests.support.httpd import Answer, Asked, serving
from tests.support.issuer import Issuer, running_issuer
from tests.support.mirror import post_file
from tests.support.python_clients import installed
from tests.support.server import Server, running
from tests.support.wheels import Release

GUIDE = Guide("ci")
REGISTRY = "registry.example.com"
pytestmark = pytest.mark.client("curl", "jq")


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with running_issuer() as found:
        yield found


def started(stack: ExitStack, folder: Path, heading: str, address: str, issuer: Issuer) -> Server:
    """NORA with the block of a CI system, and a library that its jobs install."""
    said = {address: issuer.url}
    (folder / "config.toml").write_text(replaced(GUIDE.block("toml", heading), said))
    env = {"NORA_CONFIG_PATH": str(folder / "config.toml")}
    server = stack.enter_context(running(folder, env=env))
    admin = make_token(server, "--role", "admin")
    answer = post_file(server.url, Release(project="helper").wheel(), admin.basic)
    assert answer.status_code == 200, answer.text
    return server


def workplace(shell: Terminal) -> None:
    """What a job has checked out and built."""
    Release(project="acme-app").wheel().write(shell.folder / "dist")
    (shell.folder / "requirements.txt").write_text("helper\n")


def assert_job_done(shell: Terminal, server: Server) -> None:
    assert installed(Path(shell.env["VIRTUAL_ENV"]))["helper"] == "1.0"
    reader = make_token(server, "--role", "read").secret
    shell.type(f"pip install --index-url http://ci:{reader}@{server.address}/simple/ acme-app")


@pytest.mark.client("docker", "dockerd", "containerd")
def test_github_actions(issuer: Issuer, terminal: NewTerminal, tmp_path: Path) -> None:
    (job,) = yaml.safe_load(GUIDE.block("yaml", "GitHub Actions"))["jobs"].values()
    assert job["permissions"]["id-token"] == "write"
    shell = terminal("twine")
    workplace(shell)

    def identity(asked: Asked) -> Answer:
        assert asked.headers["authorization"] == "Bearer of-the-job"
        assert asked.path.endswith(f"&audience={REGISTRY}")
        return Answer(200, json.dumps({"value": issuer.token(aud=REGISTRY)}).encode())

    with ExitStack() as stack:
        server = started(
            stack, tmp_path, "GitHub Actions", "https://token.actions.githubusercontent.com", issuer
        )
        github = stack.enter_context(serving(identity))
        docker = stack.enter_context(containers.docker())
        (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY config.toml /file\n")
        docker("build", "--tag", f"{server.address}/acme/app:1", tmp_path)
        environment = tmp_path / "github-env"
        shell.env |= {
            "DOCKER_HOST": docker.host,
            "GITHUB_ENV": str(environment),
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{github.url}/token?api-version=2.0",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "of-the-job",
        }
        for step in job["steps"]:
            shell.type(on(step["run"], server))
            shell.env |= dict(re.findall(r"^(\w+)=(.*)$", environment.read_text(), re.MULTILINE))
        assert_job_done(shell, server)


def on(script: str, server: Server) -> str:
    """The script with the address of the server; the audience keeps its name."""
    script = script.replace(f"https://{REGISTRY}/", f"{server.url}/")
    script = script.replace(f"https://ci:$NORA_KEY@{REGISTRY}/", f"http://ci:$NORA_KEY@{server.address}/")
    return re.sub(rf"(?<!audience=){re.escape(REGISTRY)}", server.address, script)


def test_gitlab_ci(issuer: Issuer, terminal: NewTerminal, tmp_path: Path) -> None:
    (job,) = yaml.safe_load(GUIDE.block("yaml", "GitLab CI")).values()
    ((variable, identity),) = job["id_tokens"].items()
    shell = terminal("twine")
    workplace(shell)
    with ExitStack() as stack:
        server = started(stack, tmp_path, "GitLab CI", "https://gitlab.example.com", issuer)
        claims = {
            "project_path": "acme/app",
            "ref_protected": "true",
            "sub": "project_path:acme/app:ref:main",
        }
        shell.env[variable] = issuer.token(aud=identity["aud"], **claims)
        shell.type(on("\n".join(job["script"]), server))
        assert_job_done(shell, server)


def test_jenkins(issuer: Issuer, terminal: NewTerminal, tmp_path: Path) -> None:
    pipeline = GUIDE.block("groovy", "Jenkins")
    (script,) = re.findall(r"sh '''\n(.*?)'''", pipeline, re.DOTALL)
    (variable,) = re.findall(r"variable: '(\w+)'", pipeline)
    shell = terminal("twine")
    workplace(shell)
    with ExitStack() as stack:
        server = started(stack, tmp_path, "Jenkins", "https://jenkins.example.com/oidc", issuer)
        subject = "https://jenkins.example.com/job/acme/job/app/"
        shell.env[variable] = issuer.token(aud=REGISTRY, sub=subject, repository=None, ref=None)
        # In a text of Groovy a backslash is written twice.
        shell.type(on(script.replace("\\\\", "\\"), server))
        assert_job_done(shell, server)


def test_a_job_of_another_project_gets_no_key(issuer: Issuer, terminal: NewTerminal, tmp_path: Path) -> None:
    (job,) = yaml.safe_load(GUIDE.block("yaml", "GitLab CI")).values()
    shell = terminal()
    with ExitStack() as stack:
        server = started(stack, tmp_path, "GitLab CI", "https://gitlab.example.com", issuer)
        shell.env["NORA_IDENTITY"] = issuer.token(
            aud=REGISTRY, project_path="other/app", ref_protected="true"
        )
        said = shell.type(on(f"set -o pipefail; {job['script'][0]}", server), fails=True)
        assert "403" in said


def test_a_token_for_one_path(terminal: NewTerminal, tmp_path: Path) -> None:
    shell = terminal()
    with running(tmp_path) as server:
        shell.env |= {"NORA_STORAGE_PATH": str(server.storage)}
        create, show, rotate = typed(GUIDE.block("console"))
        first = re.findall(r"nra_\w+", shell.type(create))
        (known,) = re.findall(
            r"^([0-9a-f]{16}) +ci +write +docker:acme/\*:read,write", shell.type(show), re.M
        )
        second = re.findall(r"nra_\w+", shell.type(rotate.replace("<id>", known)))
        assert len(first) == len(second) == 1
        assert first != second
