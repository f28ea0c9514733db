"""npm, pnpm, yarn and bun: installs through the cache, publications, and what npm does beside them."""

from __future__ import annotations

import json
import os
import re
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.clients.conftest import Closed, clients_folder
from tests.support import httpd, js_clients
from tests.support.access import PASSWORD, USER
from tests.support.answers import document
from tests.support.guides import Guide, replaced, typed
from tests.support.issuer import running_issuer
from tests.support.js_clients import CLIENTS, Client, NotInstalled
from tests.support.npm_registry import Built, NpmRegistry
from tests.support.server import Server, running
from tests.support.upstream import Upstream
from tests.support.upstream import upstream as running_upstream

pytestmark = pytest.mark.client

LOCKS = ("package-lock.json", "pnpm-lock.yaml", "yarn.lock", "bun.lock")
PUBLISH: dict[str, tuple[str, ...]] = {
    "npm10": ("publish",),
    "npm": ("publish",),
    "pnpm": ("publish", "--no-git-checks"),
    "yarn1": ("publish", "--non-interactive", "--new-version", "1.0.0"),
    "yarn4": ("npm", "publish"),
    "bun": ("publish",),
}


CI_SYSTEMS = (
    *("GITHUB_ACTIONS", "GITLAB_CI", "CIRCLECI", "NPM_ID_TOKEN"),
    *("ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"),
)
"""What tells npm where it runs, and for whom."""


@dataclass(frozen=True, slots=True)
class Place:
    """A server that asks an upstream for what it has not."""

    server: Server
    up: Upstream
    registry: NpmRegistry

    @property
    def npm(self) -> str:
        return f"{self.server.url}/npm/"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with ExitStack() as stack:
        up = stack.enter_context(running_upstream())
        registry = NpmRegistry()
        registry.mount(up)
        registry.add(Built("@s/dep", "1.0.0"), Built("@s/dep", "1.2.0"), Built("@s/dep", "2.0.0"))
        registry.add(
            Built("left", "2.0.0", {"dependencies": {"@s/dep": "^1.0.0"}, "bin": {"left": "index.js"}})
        )
        env = {"NORA_NPM_PROXY": registry.url, "NORA_PROXY_MODE": "online"}
        server = stack.enter_context(running(tmp_path_factory.mktemp("npm"), workers=2, env=env))
        yield Place(server, up, registry)


Get = Callable[..., Client]


@pytest.fixture
def get(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Get:
    """`get("pnpm", registry)`: a client with a home of this test's own."""
    cache = clients_folder(tmp_path_factory, "JS_CLIENTS", "js-clients")

    def make(name: str, registry: str, home: str = "home") -> Client:
        try:
            program = js_clients.install(cache, name)
        except NotInstalled as reason:
            if os.environ.get("REQUIRE_CLIENTS") == "1":
                raise
            pytest.skip(f"missing client: {name}: {reason}")
        folder = tmp_path / home
        folder.mkdir(exist_ok=True)
        return Client(name, program, folder, registry)

    return make


def project(folder: Path, **manifest: object) -> Path:
    """A folder with a package."""
    folder.mkdir()
    said = {"name": "app", "version": "1.0.0", "license": "MIT", **manifest}
    (folder / "package.json").write_text(json.dumps(said))
    (folder / "index.js").write_text("module.exports = 1\n")
    (folder / "README.md").write_text("# read me\n")
    return folder


def locked(folder: Path) -> str:
    return "".join((folder / name).read_text() for name in LOCKS if (folder / name).exists())


@pytest.mark.parametrize("name", CLIENTS)
def test_installs_cold_and_warm(name: str, place: Place, get: Get, tmp_path: Path) -> None:
    locks = []
    for turn in ("cold", "warm"):
        client = get(name, place.npm, turn)
        folder = project(tmp_path / f"app-{turn}", dependencies={"left": "^2.0.0"})
        client.configure(folder)
        place.up.log.clear()
        client("install", *(("--no-frozen-lockfile",) if name == "pnpm" else ()), cwd=folder)
        assert (folder / "node_modules/left/index.js").exists()
        locks.append(locked(folder))
    assert locks[0] == locks[1]
    assert "1.2.0" in locks[0]
    assert place.up.url not in locks[0]
    if name != "yarn4":  # it has checksums of its own
        assert Built("@s/dep", "1.2.0").dist["integrity"] in locks[0]
    assert not place.up.log.of("GET")


@pytest.mark.parametrize("name", CLIENTS)
def test_publishes_what_all_install(name: str, place: Place, get: Get, tmp_path: Path) -> None:
    client = get(name, place.npm)
    package = f"@corp/{name}-lib"
    folder = project(tmp_path / "lib", name=package)
    client.configure(folder)
    if name == "yarn4":
        client("install", cwd=folder)
    client(*PUBLISH[name], cwd=folder)
    document = httpx.get(f"{place.npm}{package}", trust_env=False).json()
    assert document["dist-tags"] == {"latest": "1.0.0"}
    assert document["time"].keys() == {"created", "modified", "1.0.0"}
    for other in CLIENTS:
        reader = get(other, place.npm, f"home-{other}")
        app = project(tmp_path / f"app-{other}", dependencies={package: "1.0.0"})
        reader.configure(app)
        reader("install", *(("--no-frozen-lockfile",) if other == "pnpm" else ()), cwd=app)
        assert (app / "node_modules" / package / "package.json").exists(), other


@pytest.mark.parametrize("system", ["github", "gitlab"])
def test_npm_publishes_with_the_identity_of_a_job(
    system: str, get: Get, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It asks for one with an audience of its own where it can, and exchanges it at the root of the host."""
    audience = "npm:127.0.0.1"
    rule = {"claims": {"repository": "acme/app"}, "role": "write", "namespace_scope": ["@acme/*"]}
    with running_issuer() as issuer:
        provider = {"name": "ci", "issuer": issuer.url, "audience": [audience], "role_rules": [rule]}
        env = {
            "NORA_AUTH_ENABLED": "true",
            "NORA_AUTH_OIDC_ENABLED": "true",
            "NORA_AUTH_OIDC_PROVIDERS": json.dumps([provider]),
            "NORA_NPM_PROXIES": "[]",
            "NO_PROXY": "127.0.0.1",
        }
        ask = f"/token?audience={quote(audience, safe='')}"
        for name in CI_SYSTEMS:
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("GITHUB_ACTIONS" if system == "github" else "GITLAB_CI", "true")
        with running(tmp_path / "server", env=env) as server:
            npm = get("npm", f"{server.url}/npm/")
            for package in ("@acme/lib", "@other/lib"):
                token = issuer.token(aud=audience)
                if system == "github":
                    issuer.extra[ask] = httpd.Answer(200, json.dumps({"value": token}).encode())
                    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_URL", f"{issuer.url}/token")
                    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "secret")
                else:
                    monkeypatch.setenv("NPM_ID_TOKEN", token)
                folder = project(tmp_path / package.replace("/", "-"), name=package)
                (npm.home / ".npmrc").write_text(f"registry={npm.registry}\n")
                told = npm("publish", cwd=folder, fails=package == "@other/lib")
                assert package == "@acme/lib" or "E403" in told


def test_clients_know_how_old_a_package_is(place: Place, get: Get, tmp_path: Path) -> None:
    npm = get("npm", place.npm)
    folder = project(tmp_path / "lib", name="@corp/young")
    npm.configure(folder)
    npm("publish", cwd=folder)
    yarn = replace(get("yarn4", place.npm, "yarn"), age_gate="1d")
    for name, is_old in (("@corp/young", False), ("left", True)):
        app = project(tmp_path / f"app-{is_old}", dependencies={name: "*"})
        yarn.configure(app)
        said = yarn("install", cwd=app, fails=not is_old)
        assert ("quarantined" in said) != is_old


@pytest.mark.parametrize("name", ["npm10", "npm"])
def test_the_life_of_a_package(name: str, place: Place, get: Get, tmp_path: Path) -> None:
    npm = get(name, place.npm)
    package = f"@corp/{name}-life"
    folder = project(tmp_path / "lib", name=package)
    npm.configure(folder)
    npm("publish", cwd=folder)
    for version in ("1.1.0", "2.0.0-rc.1"):
        npm("version", version, "--no-git-tag-version", cwd=folder)
        npm("publish", "--tag", "next", cwd=folder)
    (folder / "index.js").write_text("module.exports = 2\n")
    assert "previously published" in npm("publish", "--tag", "next", cwd=folder, fails=True)

    def tags() -> dict[str, str]:
        return dict(re.findall(r"^(\S+): (\S+)$", npm("dist-tag", "ls", package, cwd=folder), re.MULTILINE))

    assert tags() == {"latest": "1.0.0", "next": "2.0.0-rc.1"}
    npm("dist-tag", "add", f"{package}@1.1.0", "stable", cwd=folder)
    assert tags()["stable"] == "1.1.0"
    npm("dist-tag", "rm", package, "stable", cwd=folder)
    assert "stable" not in tags()
    npm("deprecate", f"{package}@1.0.0", "use another one", cwd=folder)
    assert npm("view", f"{package}@1.0.0", "deprecated", cwd=folder).strip() == "use another one"
    npm("deprecate", f"{package}@1.0.0", "", cwd=folder)
    assert not npm("view", f"{package}@1.0.0", "deprecated", cwd=folder).strip()
    npm("star", package, cwd=folder)
    npm("unstar", package, cwd=folder)
    npm("owner", "add", "alice", package, cwd=folder)
    assert "alice" in npm("owner", "ls", package, cwd=folder)
    assert npm("view", f"{package}@next", "version", cwd=folder).strip() == "2.0.0-rc.1"
    assert package in npm("search", package, "--parseable", cwd=folder)
    npm("pack", f"{package}@latest", cwd=tmp_path)
    npm("ping", cwd=folder)
    npm("unpublish", f"{package}@1.1.0", cwd=folder)
    assert "1.1.0" not in npm("view", package, "versions", "--json", cwd=folder)
    npm("unpublish", "--force", package, cwd=folder)
    npm("view", package, cwd=folder, fails=True)


def test_a_lock_file_of_another_registry(place: Place, get: Get, tmp_path: Path) -> None:
    """Tarballs of which no document was asked for before."""
    built = Built("only-locked")
    place.registry.add(built)
    npm = get("npm", place.npm)
    folder = project(tmp_path / "app", dependencies={"only-locked": "1.0.0"})
    npm.configure(folder, extra="replace-registry-host=always")
    resolved = "https://registry.elsewhere.example/only-locked/-/only-locked-1.0.0.tgz"
    packages = {
        "": {"name": "app", "version": "1.0.0", "license": "MIT", "dependencies": {"only-locked": "1.0.0"}},
        "node_modules/only-locked": {
            "version": "1.0.0", "resolved": resolved, "integrity": built.dist["integrity"], "license": "MIT",
        },
    }  # fmt: skip
    lock = {"name": "app", "version": "1.0.0", "lockfileVersion": 3, "requires": True, "packages": packages}
    (folder / "package-lock.json").write_text(json.dumps(lock))
    npm("ci", cwd=folder)
    assert (folder / "node_modules/only-locked/index.js").exists()


def test_audits(place: Place, get: Get, tmp_path: Path) -> None:
    """npm sends them compressed."""
    advisory = {
        "id": 1, "url": "https://advisories.example/1", "title": "bad", "severity": "high",
        "vulnerable_versions": "<9", "cwe": [], "cvss": {"score": 0, "vectorString": None},
    }  # fmt: skip
    body = json.dumps({"left": [advisory]}).encode()
    path = "/reg/-/npm/v1/security/advisories/bulk"
    place.up.serve(path, document(body, "application/json"), method="POST")
    npm = get("npm", place.npm)
    folder = project(tmp_path / "app", dependencies={"left": "^2.0.0"})
    npm.configure(folder)
    npm("install", cwd=folder)
    assert "https://advisories.example/1" in npm("audit", cwd=folder, fails=True)
    asked = json.loads(place.up.log.of("POST", path)[-1].body)
    assert asked["left"] == ["2.0.0"]


def test_who_is_asking(closed: Closed, get: Get, tmp_path: Path) -> None:
    npm = get("npm", f"{closed.server.url}/npm/")
    folder = project(tmp_path / "lib", name="@corp/closed")
    npm.configure(folder, token="nothing")
    assert "E401" in npm("whoami", cwd=folder, fails=True)
    npm.configure(folder, token=closed.read.secret)
    assert npm("whoami", cwd=folder).strip() == closed.read.user
    assert "E403" in npm("publish", cwd=folder, fails=True)
    npm.configure(folder, token=closed.write.secret)
    npm("publish", cwd=folder)
    assert npm("view", "@corp/closed", "version", cwd=folder).strip() == "1.0.0"


def test_login_and_tokens(closed: Closed, get: Get, tmp_path: Path) -> None:
    npm = get("npm", f"{closed.server.url}/npm/")
    folder = project(tmp_path / "app")
    url = f"{closed.server.url}/npm/-/user/org.couchdb.user:{USER}"
    body = {"name": USER, "password": PASSWORD}
    token = httpx.put(url, json=body, trust_env=False).json()["token"]
    npm.configure(folder, token=token)
    assert npm("whoami", cwd=folder).strip() == USER
    made = npm("token", "create", "--json", f"--password={PASSWORD}", cwd=folder)
    text = json.loads(made)["token"]
    keys = [one["key"] for one in json.loads(npm("token", "list", "--json", cwd=folder))]
    assert len(keys) >= 2
    other = get("npm", npm.registry, "other")
    other.configure(folder, token=text)
    assert other("whoami", cwd=folder).strip() == USER
    npm("logout", cwd=folder)
    npm.configure(folder, token=token)
    assert "E401" in npm("whoami", cwd=folder, fails=True)


@pytest.mark.parametrize("name", CLIENTS)
def test_the_page_says_how_each_client_is_configured(
    name: str, place: Place, get: Get, tmp_path: Path
) -> None:
    """docs/npm.md, its blocks as they stand there."""
    page, here = Guide("npm"), {"localhost:4000": place.npm.split("/")[2]}
    client = get(name, place.npm)
    folder = project(tmp_path / "lib", name=f"@docs/{name}", dependencies={"left": "^2.0.0"})
    if name == "yarn4":
        said = replaced(page.block("yaml"), {**here, "[localhost]": "[127.0.0.1]"})
        (folder / ".yarnrc.yml").write_text(said + "nodeLinker: node-modules\nnpmMinimalAgeGate: 0\n")
        (folder / "yarn.lock").touch()
        client("config", "set", "enableImmutableInstalls", "false", cwd=folder)
    else:
        (client.home / ".npmrc").write_text(replaced(page.block("ini"), here))
    client("install", cwd=folder)
    assert (folder / "node_modules/left/package.json").exists()
    client(*PUBLISH[name], cwd=folder)
    assert httpx.get(f"{place.npm}@docs/{name}/latest", trust_env=False).status_code == 200


def test_the_commands_of_the_page(place: Place, get: Get, tmp_path: Path) -> None:
    place.registry.add(Built("express"))
    npm = get("npm", place.npm)
    folder = project(tmp_path / "lib", name="@docs/commands")
    host = place.npm.split("/")[2]
    for line in typed(Guide("npm").block("console")):
        program, *words = line.replace("localhost:4000", host).split()
        assert program == "npm"
        npm(*words, cwd=folder)
    assert (folder / "node_modules/express/index.js").exists()
    assert httpx.get(f"{place.npm}@docs/commands/latest", trust_env=False).status_code == 200


NO_TUF = """
const module_ = require("module"), load = module_._load
const absent = Object.assign(new Error("no target"), { code: "TUF_FIND_TARGET_ERROR" })
module_._load = function (name, ...rest) {
  return name === "@sigstore/tuf"
    ? { initTUF: async () => ({ getTarget: async () => { throw absent } }) }
    : load.call(this, name, ...rest)
}
"""
"""npm asks a service of its own for keys first, and then the registry: this has none."""


@pytest.mark.parametrize("name", ["npm10", "npm"])
def test_audit_signatures_verifies_by_the_keys_of_the_upstream(
    name: str, place: Place, get: Get, tmp_path: Path
) -> None:
    key = ec.derive_private_key(20_260_101, ec.SECP256R1())  # one for all: keys are kept for a day
    spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    told = {
        "keyid": "SHA256:of-the-test",
        "keytype": "ecdsa-sha2-nistp256",
        "scheme": "ecdsa-sha2-nistp256",
        "key": b64encode(spki).decode(),
        "expires": None,
    }
    place.up.serve("/reg/-/npm/v1/keys", document(json.dumps({"keys": [told]}).encode(), "application/json"))
    for kind in ("signed", "forged"):
        built = Built(f"{name}-{kind}")
        message = f"{built.name}@{built.version}:{built.dist['integrity']}"
        signature = key.sign(f"{message}{'!' * (kind == 'forged')}".encode(), ec.ECDSA(SHA256()))
        built.told["signatures"] = [{"keyid": told["keyid"], "sig": b64encode(signature).decode()}]
        place.registry.add(built)
    (tmp_path / "no-tuf.js").write_text(NO_TUF)
    client = get(name, place.npm)
    folder = project(tmp_path / "app", dependencies={f"{name}-signed": "1.0.0"})
    client.configure(folder)
    audit = ("audit", "signatures")
    client("install", cwd=folder)
    options = f"--require {tmp_path / 'no-tuf.js'}"
    assert "1 package has a verified registry signature" in client(*audit, cwd=folder, node_options=options)
    client("install", f"{name}-forged", cwd=folder)
    said = client(*audit, cwd=folder, node_options=options, fails=True)
    assert "1 package has an invalid registry signature" in said
