"""What clients of all formats have published is there for them again: backed up, destroyed, restored."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from tests.clients.conftest import clients_folder
from tests.support import images, js_clients, maven_clients
from tests.support.cargo_client import Cargo, write_crate
from tests.support.command import run
from tests.support.go_client import Go, write_program
from tests.support.js_clients import Client
from tests.support.maven_clients import Maven, write_modules, write_user
from tests.support.python_clients import environment, install, installed
from tests.support.server import Server, running
from tests.support.wheels import Release

pytestmark = pytest.mark.client("skopeo", "mvn", "javac", "cargo", "go", "node", "npm", "curl")
NORA = (sys.executable, "-m", "nora")
BACKUP = "backup.tar.gz"
REGISTRY = """
[registries.nora]
index = "sparse+{url}/cargo/index/"
credential-provider = ["cargo:token"]
"""
MODULE = "corp.example/kept"


class Clients:
    """One of each format, before the backup and after the restore: with nothing in their caches."""

    def __init__(self, server: Server, folder: Path, factory: pytest.TempPathFactory) -> None:
        folder.mkdir()
        self.url = server.url
        self.address = server.address
        self.folder = folder
        pythons = clients_folder(factory, "PYTHON_CLIENTS", "python-clients")
        self.twine = install(pythons, "twine", command="twine")
        self.pip = install(pythons, "pip", command="pip")
        npm = js_clients.install(clients_folder(factory, "JS_CLIENTS", "js-clients"), "npm")
        (folder / "npm").mkdir()
        self.npm = Client("npm", npm, folder / "npm", f"{server.url}/npm/")
        self.cargo = Cargo(folder / "cargo", {"CARGO_REGISTRIES_NORA_TOKEN": "any"})
        self.cargo.configure(REGISTRY.format(url=server.url))
        maven = clients_folder(factory, "MAVEN_CLIENTS", "maven")
        central = f"file://{maven_clients.central(maven)}"
        self.maven = Maven(maven_clients.install(maven, "maven"), folder / "maven", central)
        self.go = Go(folder.parent / f"go-{folder.name}", {"GOPROXY": f"{server.url}/go,off"})
        self.policy = folder / "policy.json"
        self.policy.write_text('{"default": [{"type": "insecureAcceptAnything"}]}')

    def skopeo(self, *words: str) -> str:
        return run("skopeo", "--policy", self.policy, *words)

    def publish(self) -> None:
        """Something of each format."""
        layout = images.multi(self.folder / "image")
        there = f"docker://{self.address}/team/app:v1"
        self.skopeo("copy", "--all", "--dest-tls-verify=false", f"oci:{layout.path}:v1", there)

        wheel = Release(project="kept-wheel").wheel().write(self.folder)
        self.twine("upload", "-u", "x", "-p", "y", "--repository-url", f"{self.url}/legacy/", wheel)

        package = self.folder / "package"
        self._package(package, name="@corp/kept", version="1.0.0", license="MIT")
        self.npm("publish", cwd=package)

        crate = write_crate(self.folder / "crate", "kept-crate", source="pub fn told() -> u8 { 7 }")
        self.cargo("publish", "--registry", "nora", cwd=crate)

        project = write_modules(self.folder / "project", "kept", "1.0", f"{self.url}/maven2/")
        self.maven("deploy", cwd=project)

        module = self.folder / "module"
        module.mkdir()
        (module / "go.mod").write_text(f"module {MODULE}\n\ngo 1.21\n")
        (module / "kept.go").write_text('package kept\n\nfunc Text() string { return "kept" }\n')
        run(*NORA, "go", "publish", "v1.0.0", "--url", self.url, cwd=module)

        (self.folder / "file.bin").write_bytes(bytes(range(256)) * 1000)
        run("curl", "--fail", "--silent", "-T", self.folder / "file.bin", f"{self.url}/raw/builds/file.bin")

    def install(self) -> dict[str, object]:
        """All of it; what there is then."""
        there, back = f"docker://{self.address}/team/app:v1", self.folder / "back"
        self.skopeo("copy", "--all", "--src-tls-verify=false", there, f"oci:{back}:v1")
        blobs = sorted(f"{file.parent.name}:{file.name}" for file in (back / "blobs").glob("*/*"))

        python, target = environment(self.folder / "python"), self.folder / "target"
        words = ("--isolated", "--python", python, "install", "--no-cache-dir", "--target", target)
        self.pip(*words, "--index-url", f"{self.url}/simple/", "kept-wheel")

        app = self.folder / "app"
        self._package(app, name="app", version="1.0.0", dependencies={"@corp/kept": "1.0.0"})
        self.npm("install", cwd=app)

        needs = '[dependencies]\nkept-crate = { version = "1", registry = "nora" }\n'
        program = 'fn main() { println!("crate of {}", kept_crate::told()); }'
        crate = write_crate(self.folder / "user", "user", more=needs, source=program)
        built = self.cargo("run", "--quiet", cwd=crate)

        user = write_user(self.folder / "java", f"{self.url}/maven2/", "kept-app:1.0", source="App.told()")
        maven = replace(self.maven, home=self.folder / "maven-user")  # what is deployed is installed as well
        maven("compile", cwd=user)

        program = write_program(self.folder / "program", {MODULE: "v1.0.0"})
        self.go("mod", "tidy", cwd=program)

        got = self.folder / "got.bin"
        run("curl", "--fail", "--silent", "-o", got, f"{self.url}/raw/builds/file.bin")
        return {
            "image": blobs,
            "wheel": installed(target),
            "package": json.loads((app / "package-lock.json").read_text())["packages"],
            "crate": built.strip(),
            "jars": sorted(jar.name for jar in maven.local.glob("com/acme/**/*.jar")),
            "module": (self.go("run", ".", cwd=program).split(), (program / "go.sum").read_text()),
            "file": got.read_bytes(),
        }

    def _package(self, folder: Path, **manifest: object) -> None:
        folder.mkdir()
        (folder / "package.json").write_text(json.dumps(manifest))
        (folder / "index.js").write_text("module.exports = 1\n")
        self.npm.configure(folder)


def test_all_clients_install_after_a_restore_what_they_had_published(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with running(tmp_path / "server", workers=2) as server:
        before = Clients(server, tmp_path / "before", tmp_path_factory)
        before.publish()
        expected = before.install()
        run(*NORA, "backup", "-o", BACKUP, env=server.environment(), cwd=server.data)
        server.kill()
        shutil.rmtree(server.storage)
        run(*NORA, "restore", "-i", BACKUP, env=server.environment(), cwd=server.data)
        server.start()
        assert Clients(server, tmp_path / "after", tmp_path_factory).install() == expected
        assert httpx.get(f"{server.url}/health", trust_env=False).status_code == 200
    assert expected["crate"] == "crate of 7"
    assert expected["wheel"] == {"kept_wheel": "1.0"}
    assert expected["jars"] == ["kept-app-1.0.jar", "kept-base-1.0.jar"]
