"""`nora mirror npm`, `yarn` and `pnpm`: what they name is here afterwards, and is what they say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.mirroring import mirror
from tests.support.npm_registry import Built, NpmRegistry
from tests.support.server import Server, running
from tests.support.upstream import Upstream
from tests.support.upstream import upstream as running_upstream

pytestmark = pytest.mark.slow


class Packages:
    """A registry, and a NORA that asks it, whose clients know it by another name."""

    def __init__(self, up: Upstream, server: Server) -> None:
        self.up = up
        self.server = server
        self.registry = NpmRegistry()
        self.registry.mount(up)

    def add(self, name: str, version: str = "1.0.0") -> Built:
        built = Built(name, version)
        self.registry.add(built)
        return built

    def is_fetched(self, built: Built) -> bool:
        """Whether NORA has asked the registry for it."""
        return self.up.log.count("GET", f"/reg/{built.path}") > 0

    def kept(self, *builds: Built) -> list[bool]:
        """Which of them a NORA serves that may ask nobody."""
        online = self.server.env
        self.server.env = {**online, "NORA_PROXY_MODE": "offline"}
        self.server.restart()
        try:
            with httpx.Client(base_url=self.server.url, timeout=30, trust_env=False) as http:
                return [http.get(f"/npm/{one.path}").content == one.body for one in builds]
        finally:
            self.server.env = online
            self.server.restart()


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Packages]:
    folder = tmp_path_factory.mktemp("mirror")
    with running_upstream() as up:
        (folder / "config.toml").write_text(
            f'[repositories.other]\nformat = "npm"\nkind = "proxy"\nupstreams = ["{up.url}/reg"]\n'
        )
        env = {
            "NORA_PROXY_MODE": "online",
            "NORA_NPM_PROXY": f"{up.url}/reg",
            "NORA_PUBLIC_URL": "https://nora.example.com/below",
            "NORA_CONFIG_PATH": str(folder / "config.toml"),
        }
        with running(folder, env=env) as server:
            yield Packages(up, server)


def package_lock(*builds: Built) -> str:
    entries = {
        f"node_modules/{at}/node_modules/{one.name}": {
            "version": one.version,
            "integrity": one.dist["integrity"],
        }
        for at, one in enumerate(builds)
    }
    return json.dumps({"lockfileVersion": 3, "packages": {"": {}, **entries}})


def pnpm_lock(*builds: Built) -> str:
    lines = [
        f"  '{one.name}@{one.version}':\n    resolution: {{integrity: {one.dist['integrity']}}}"
        for one in builds
    ]
    return "\n\n".join(["lockfileVersion: '9.0'", "packages:", *lines, ""])


def yarn_lock(*builds: Built) -> str:
    entries = [
        f'"{one.name}@npm:^1":\n  version: {one.version}\n  resolution: "{one.name}@npm:{one.version}"\n'
        for one in builds
    ]
    return "\n".join(["__metadata:\n  version: 8\n", *entries])


@pytest.mark.parametrize("tool", ["npm", "pnpm", "yarn"])
def test_a_lock_file_is_here_afterwards(packages: Packages, tmp_path: Path, tool: str) -> None:
    older, newer = packages.add(f"@{tool}/lib", "1.0.0"), packages.add(f"@{tool}/lib", "1.1.0")
    other, unnamed = packages.add(f"{tool}-other"), packages.add(f"{tool}-unnamed")
    file = tmp_path / "lock"
    made = {"npm": package_lock, "pnpm": pnpm_lock, "yarn": yarn_lock}[tool](older, newer, other)
    file.write_text(made)
    done = mirror(packages.server, tool, "--lockfile", file, "--json")
    assert done.code == 0, done.stderr
    assert (done.json["done"], done.json["wanted"]) == (5, 5)  # two packuments, three tarballs
    assert packages.kept(older, newer, other, unnamed) == [True, True, True, False]


def test_what_is_missing_is_named_with_its_reason(packages: Packages, tmp_path: Path) -> None:
    here, lied = packages.add("is-here"), packages.add("other-bytes")
    file = tmp_path / "package-lock.json"
    file.write_text(
        package_lock(here, Built("is-here", "9.9.9"), Built("nobody-has-it"), Built("other-bytes", files={}))
    )
    done = mirror(packages.server, "npm", "--lockfile", file, "--json")
    assert done.code == 1
    assert {*done.missing} == {"is-here 9.9.9", "nobody-has-it 1.0.0", "other-bytes 1.0.0"}
    assert "no such version" in done.missing["is-here 9.9.9"]
    assert "404" in done.missing["nobody-has-it 1.0.0"]
    assert "in the lock file" in done.missing["other-bytes 1.0.0"]
    assert packages.is_fetched(here)
    assert not packages.is_fetched(lied)


def test_packages_that_are_named_are_what_their_tag_says(packages: Packages) -> None:
    first, second = packages.add("@corp/tagged", "1.0.0"), packages.add("@corp/tagged", "2.0.0")
    assert mirror(packages.server, "npm", "--packages", "@corp/tagged").code == 0
    assert [packages.is_fetched(one) for one in (first, second)] == [False, True]
    assert mirror(packages.server, "npm", "--packages", "@corp/tagged@1.0.0").code == 0
    assert packages.is_fetched(first)
    done = mirror(packages.server, "npm", "--packages", "@corp/tagged@3.0.0,@corp/tagged", "--all-versions")
    assert done.code == 1
    assert "is one version, and --all-versions says all of them" in done.stderr


def test_a_named_repository_is_filled(packages: Packages) -> None:
    built = packages.add("elsewhere")
    assert mirror(packages.server, "npm", "--packages", "elsewhere", "--repository", "other").code == 0
    assert packages.up.log.count("GET", f"/reg/{built.path}") == 1
    assert mirror(packages.server, "npm", "--packages", "elsewhere").code == 0
    assert packages.up.log.count("GET", f"/reg/{built.path}") == 2, "the other repository has its own"
