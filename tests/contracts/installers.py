"""What an installer of Python packages gets of the registry, whichever it is. tests/clients/test_pip.py and
test_uv.py run it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from tests.support.mirror import Mirror, mirrored, publish
from tests.support.python_clients import module_of
from tests.support.wheels import Release

Names = Callable[[str], str]


class Install(Protocol):
    """Installs from an index into a folder of its own."""

    def __call__(self, index: str, *words: str, fails: bool = False) -> dict[str, str]:
        """What is installed, by module name. Without a cache unless `words` have one."""
        ...


class InstallerContract:
    """Inherit it with the fixtures `mirror`, `project` (see tests/clients/conftest.py) and `install`."""

    def test_cold_and_warm(self, mirror: Mirror, install: Install, project: Names) -> None:
        app, lib, leaf = project("app"), project("lib"), project("leaf")
        mirror.index.add(Release(project=app, requires=[f"{lib}[more]>=1"]).wheel())
        mirror.index.add(Release(project=lib, version="1.5", extras={"more": [leaf]}).wheel())
        mirror.index.add(Release(project=leaf, version="3").wheel())
        found = install(mirror.simple, app)
        assert found == {module_of(app): "1.0", module_of(leaf): "3", module_of(lib): "1.5"}
        for name in (app, lib, leaf):
            page, *files = sorted(mirror.asked(name), reverse=True)
            assert page == f"GET /simple/{name}/"
            assert [file.rpartition(".")[2] for file in files] == ["metadata", "whl"]
        mirror.up.log.clear()
        assert install(mirror.simple, app) == found
        assert mirror.up.log.requests == []

    def test_an_sdist_is_built(self, mirror: Mirror, install: Install, project: Names) -> None:
        app = project("app")
        mirror.index.add(Release(project=app, version="2").sdist())
        assert install(mirror.simple, app) == {module_of(app): "2"}

    def test_no_upstream_hears_of_our_own_names(
        self, mirror: Mirror, install: Install, project: Names
    ) -> None:
        own = project("own")
        mirror.index.add(Release(project=own, version="99.0").wheel())
        publish(mirror.server.url, Release(project=own).wheel())
        for spelling in (own, own.upper(), own.replace("-", "_"), own.replace("-", ".")):
            assert install(mirror.simple, spelling) == {module_of(own): "1.0"}
        install(mirror.simple, f"{own}==99.0", fails=True)
        assert mirror.asked(own) == []

    def test_no_upstream_hears_of_reserved_names(self, install: Install, tmp_path: Path) -> None:
        with mirrored(tmp_path, NORA_PROXY_RESERVED="corp-*") as mirror:
            mirror.index.add(Release(project="corp-x", version="99.0").wheel())
            install(mirror.simple, "Corp_X", fails=True)
            assert mirror.asked("corp-x") == []
            publish(mirror.server.url, Release(project="corp-x").wheel())
            assert install(mirror.simple, "Corp.X") == {"corp_x": "1.0"}
            assert mirror.asked("corp-x") == []
