"""`nora mirror go`: what a go.sum names is here afterwards, and is what it says."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from nora.formats.go.archive import check_module_zip
from nora.formats.go.mirror import Info, Mod, Version, Zip, read_go
from nora.formats.go.names import ModulePath
from nora.formats.mirroring import LockFileInvalid, Registry, Unusable
from tests.support.go_modules import Module, ModuleProxy
from tests.support.mirroring import Site, site
from tests.support.tables import each

H1 = f"h1:{'A' * 43}="


def test_a_go_sum_names_versions_and_their_hashes() -> None:
    wants = read_go(
        f"example.com/Lib v1.2.3 {H1}\nexample.com/Lib v1.2.3/go.mod {H1}\n\n"
        f"example.com/old v2.0.0+incompatible/go.mod {H1}\n"
    )
    lib = Version(ModulePath("example.com/Lib"), "v1.2.3")
    old = Version(ModulePath("example.com/old"), "v2.0.0+incompatible")
    assert wants == [Info(lib), Zip(lib, H1), Mod(lib, H1), Mod(old, H1)]


@each(
    ("text", "problem"),
    [
        ("\nexample.com/lib v1.0.0\n", "line 2: no line of a go.sum"),
        (f"example.com/lib v1 {H1}\n", "line 1: 'v1' is no version"),
        (f"../lib v1.0.0 {H1}\n", "line 1: "),
        ("example.com/lib v1.0.0 h1:short=\n", "line 1: 'h1:short=' is no hash"),
        ("{}", "line 1: no line of a go.sum"),
    ],
)
def test_what_is_no_go_sum_is_refused_with_its_line(text: str, problem: str) -> None:
    with pytest.raises(LockFileInvalid) as refused:
        read_go(text)
    assert problem in str(refused.value)


def test_a_disk_that_takes_no_zip_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    wanted = Zip(Version(ModulePath("example.com/lib"), "v1.0.0"), H1)
    with pytest.raises(Unusable, match=r"its zip cannot be looked at in .*nowhere.*TMPDIR says where"):
        asyncio.run(wanted.fetch(cast("Registry", None)))


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, ModuleProxy]]:
    env = {"NORA_GO_SUMDB": "off"}
    with site(tmp_path_factory.mktemp("mirror"), "NORA_GO_PROXY", "/proxy", **env) as found:
        proxy = ModuleProxy("/proxy")
        proxy.mount(found.up)
        yield found, proxy


def summed(module: Module, folder: Path) -> str:
    """The lines of a go.sum."""
    file = folder / "module.zip"
    file.write_bytes(module.body)
    found = check_module_zip(str(file), ModulePath.of(module.path), module.version, 1 << 30)
    return (
        f"{module.path} {module.version} {found.h1}\n"
        f"{module.path} {module.version}/go.mod {module.go_mod_h1}\n"
    )


@pytest.mark.slow
def test_a_go_sum_is_here_afterwards(modules: tuple[Site, ModuleProxy], tmp_path: Path) -> None:
    site, proxy = modules
    lib, graph = proxy.add(Module("example.com/Kept")), proxy.add(Module("example.com/graph"))
    file = tmp_path / "go.sum"
    file.write_text(summed(lib, tmp_path) + summed(graph, tmp_path).splitlines()[1] + "\n")
    done = site.mirror("go", "--lockfile", file, "--json")
    assert done.code == 0, done.json
    assert (done.json["done"], done.json["wanted"]) == (4, 4)
    paths = [f"/go/{lib.url(kind)}" for kind in ("info", "mod", "zip")]
    paths += [f"/go/{graph.url(kind)}" for kind in ("mod", "zip")]
    assert site.kept(*paths) == [lib.info, lib.go_mod, lib.body, graph.go_mod, None]


@pytest.mark.slow
def test_what_is_missing_is_named_with_its_reason(modules: tuple[Site, ModuleProxy], tmp_path: Path) -> None:
    site, proxy = modules
    here = proxy.add(Module("example.com/here"))
    changed = Module("example.com/changed", text="first")
    sums = summed(here, tmp_path) + summed(changed, tmp_path) + f"example.com/absent v1.0.0/go.mod {H1}\n"
    proxy.add(Module("example.com/changed", text="second", requires={"example.com/here": "v1.0.0"}))
    file = tmp_path / "go.sum"
    file.write_text(sums)
    done = site.mirror("go", "--lockfile", file, "--json")
    assert done.code == 1
    assert {*done.missing} == {
        "example.com/changed v1.0.0",
        "example.com/changed v1.0.0/go.mod",
        "example.com/absent v1.0.0/go.mod",
    }
    assert "its hash is h1:" in done.missing["example.com/changed v1.0.0"]
    assert f"and should be {changed.go_mod_h1}" in done.missing["example.com/changed v1.0.0/go.mod"]
    assert "404" in done.missing["example.com/absent v1.0.0/go.mod"]


@pytest.mark.slow
def test_packages_that_are_named_are_the_newest(modules: tuple[Site, ModuleProxy]) -> None:
    site, proxy = modules
    for version in ("v1.9.0", "v1.10.0", "v1.11.0-rc.1"):
        proxy.add(Module("example.com/newest", version))

    def fetched() -> set[str]:
        return {path.rpartition("/")[2] for path in site.up.log.paths("GET") if path.endswith(".zip")}

    site.up.log.clear()
    assert site.mirror("go", "--packages", "example.com/newest").code == 0
    assert fetched() == {"v1.10.0.zip"}
    assert site.mirror("go", "--packages", "example.com/newest@v1.9.0").code == 0
    assert fetched() == {"v1.9.0.zip", "v1.10.0.zip"}
    assert site.mirror("go", "--packages", "example.com/newest", "--all-versions").code == 0
    assert fetched() == {"v1.9.0.zip", "v1.10.0.zip", "v1.11.0-rc.1.zip"}
