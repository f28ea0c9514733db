"""go: modules that were published here, and those of a module proxy behind the registry."""

from __future__ import annotations

import ssl
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from nora.formats.go.archive import check_module_zip
from nora.formats.go.names import ModulePath
from tests.clients.conftest import Closed, closed_registry
from tests.support import certificates
from tests.support.answers import Answer
from tests.support.command import run
from tests.support.go_client import Go, write_program
from tests.support.go_modules import Module, ModuleProxy
from tests.support.guides import Guide, Terminal, replaced, typed
from tests.support.server import Server, running
from tests.support.sum_database import SumDatabase
from tests.support.upstream import Upstream
from tests.support.upstream import upstream as running_upstream

pytestmark = pytest.mark.client("go")
OURS = {"GOPRIVATE": "corp.example", "GONOPROXY": "none"}
LENGTH = 50
NORA = Path(sys.executable).with_name("nora")


def publish(server: Server, module: Module) -> None:
    url = f"{server.url}/go/{module.url('zip')}"
    answer = httpx.put(url, content=module.body, timeout=60, trust_env=False)
    assert answer.status_code == 201, answer.text


def go_of(tmp_path: Path, proxy: str, name: str = "home", **env: str) -> Go:
    return Go(tmp_path / name, {"GOPROXY": proxy, **env})


# -- modules of one's own ----------------------------------------------------------------------------------


def test_what_was_published_is_built(registry: Server, tmp_path: Path) -> None:
    """A path and a version in mixed case, a major version in the path, one module that needs the other."""
    base = Module("corp.example/Team/Base/v2", "v2.0.0-Beta.1", text="from base")
    user = Module("corp.example/team/user", "v1.0.0", requires={base.path: base.version}, text="from user")
    for module in (base, user):
        publish(registry, module)
    go = go_of(tmp_path, f"{registry.url}/go,off", **OURS)
    folder = write_program(tmp_path / "program", {user.path: user.version, base.path: base.version})
    go("mod", "tidy", cwd=folder)
    assert go("run", ".", cwd=folder).split("\n")[:2] == ["from user", "from base"]
    assert "all modules verified" in go("mod", "verify", cwd=folder)
    assert base.go_mod_h1 in (folder / "go.sum").read_text()
    listed = go("list", "-m", "-versions", base.path, cwd=folder)
    assert listed.strip() == f"{base.path} {base.version}"


def test_the_next_command_sees_what_was_published(registry: Server, tmp_path: Path) -> None:
    go = go_of(tmp_path, f"{registry.url}/go,off", **OURS)
    folder = write_program(tmp_path / "program", {})
    for version in ("v1.0.0", "v1.1.0"):
        publish(registry, Module("corp.example/next", version))
        go("get", "corp.example/next@latest", cwd=folder)
        assert f"corp.example/next {version}" in (folder / "go.mod").read_text()
    assert go("list", "-m", "-versions", "corp.example/next", cwd=folder).split()[1:] == ["v1.0.0", "v1.1.0"]


def test_go_publish_and_go_agree_on_hashes(registry: Server, tmp_path: Path) -> None:
    module = Module("corp.example/agree", "v1.0.0")
    folder = tmp_path / "agree"
    folder.mkdir()
    for name, content in module.files.items():
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    told = run(NORA, "go", "publish", module.version, "--url", registry.url, cwd=folder)
    go = go_of(tmp_path, f"{registry.url}/go,off", **OURS)
    program = write_program(tmp_path / "program", {module.path: module.version})
    go("mod", "tidy", cwd=program)
    assert told.split()[:2] == [module.path, module.version]
    assert f"{module.path} {module.version} {told.split()[2]}\n" in (program / "go.sum").read_text()


# -- who is asking -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Guarded:
    """A closed registry with TLS: go sends credentials over nothing else."""

    closed: Closed
    authority: Path

    def go(self, folder: Path, password: str | None = None) -> Go:
        home = folder / f"home-{password or 'nobody'}"[:20]
        home.mkdir(parents=True)
        if password is not None:
            block = Guide("go").block("netrc", "Who is asking")
            own = {"nora.example.com": self.url.partition("://")[2], "nra_YOUR_TOKEN": password}
            (home / ".netrc").write_text(replaced(block, own))
            (home / ".netrc").chmod(0o600)
        return Go(home, {"GOPROXY": f"{self.url}/go,off", "SSL_CERT_FILE": str(self.authority), **OURS})

    @property
    def url(self) -> str:
        return self.closed.server.url.replace("127.0.0.1", "localhost")


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("guarded")
    made = certificates.make(folder / "tls")
    env = {"NORA_TLS_CERT": str(made.certificate), "NORA_TLS_KEY": str(made.key)}
    with closed_registry(folder, **env) as closed:
        yield Guarded(closed, made.authority)


def test_who_may_not_read_gets_nothing(guarded: Guarded, tmp_path: Path) -> None:
    module = Module("corp.example/secret", "v1.0.0")
    admin = guarded.closed.admin.bearer
    answer = httpx.put(
        f"{guarded.url}/go/{module.url('zip')}",
        content=module.body,
        headers=admin,
        verify=ssl.create_default_context(cafile=guarded.authority),
        trust_env=False,
    )
    assert answer.status_code == 201, answer.text
    program = write_program(tmp_path / "program", {})
    for password in (None, "nra_wrong"):
        told = guarded.go(tmp_path, password)("get", "corp.example/secret", cwd=program, fails=True)
        assert "401" in told
    guarded.go(tmp_path, guarded.closed.read.secret)("get", "corp.example/secret", cwd=program)
    assert "corp.example/secret v1.0.0" in (program / "go.mod").read_text()


def test_a_token_as_the_page_makes_it(guarded: Guarded, tmp_path: Path) -> None:
    """It publishes and reads what its scope names, and go takes it from the netrc that the page shows."""
    server, block = guarded.closed.server, Guide("go").block("console", "Who is asking")
    make, use = typed(block)
    settings = {name: value for name, value in server.environment().items() if name != "PATH"}
    token = Terminal(server.data, (NORA.parent,), settings).type(make).split()[-1]
    module = Module("corp.example/of/token", "v1.0.0")
    folder = tmp_path / "module"
    folder.mkdir()
    for name, content in module.files.items():
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    go = guarded.go(tmp_path, token)
    nora = {"SSL_CERT_FILE": str(guarded.authority), "HOME": str(go.home)}
    run(NORA, "go", "publish", module.version, "--url", guarded.url, cwd=folder, env=nora)
    program = write_program(tmp_path / "program", {})
    environment = {name: value for name, value in go.environment.items() if name != "GOPROXY"}
    terminal = Terminal(program, (go.folder,), environment)
    terminal.type(*typed(replaced(f"$ {use}\n", {"https://nora.example.com": guarded.url})))
    terminal.type(f"go get {module.path}")
    assert f"{module.path} v1.0.0" in (program / "go.mod").read_text()


def test_without_tls_modules_are_read_where_anybody_may(mixed: Closed, tmp_path: Path) -> None:
    module = Module("corp.example/open", "v1.0.0")
    url = f"{mixed.server.url}/go/{module.url('zip')}"
    answer = httpx.put(url, content=module.body, headers=mixed.write.bearer, trust_env=False)
    assert answer.status_code == 201, answer.text
    go = go_of(tmp_path, f"{mixed.server.url}/go,off", **OURS)
    go("get", "corp.example/open", cwd=write_program(tmp_path / "program", {}))


# -- a module proxy behind it ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Mirror:
    server: Server
    up: Upstream
    proxy: ModuleProxy
    database: SumDatabase
    modules: list[Module] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"{self.server.url}/go"

    @property
    def needs(self) -> dict[str, str]:
        return {one.path: one.version for one in self.modules}

    def add(self, module: Module, *, listed: bool = True) -> Module:
        """Have a module, and a record of it."""
        self.proxy.add(module, listed=listed)
        with tempfile.NamedTemporaryFile() as file:
            file.write(module.body)
            file.flush()
            found = check_module_zip(file.name, ModulePath.of(module.path), module.version, 1 << 30)
        self.database.add(module.path, module.version, found.h1, module.go_mod_h1)
        return module


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[Mirror]:
    """A registry whose upstream has a chain of modules, each of which needs the next, and a sum database."""
    with ExitStack() as stack:
        up = stack.enter_context(running_upstream())
        proxy, database = ModuleProxy(), SumDatabase("sum.example")
        proxy.mount(up)
        up.mount("/sumdb/sum.example/", database)
        env = {"NORA_GO_PROXY": up.url, "NORA_PROXY_MODE": "online", "NORA_GO_SUMDB": "sum.example"}
        server = stack.enter_context(running(tmp_path / "server", workers=2, env=env))
        found = Mirror(server, up, proxy, database)
        for number in reversed(range(LENGTH)):
            needs = {found.modules[0].path: "v1.0.0"} if found.modules else {}
            more = {"use.go": f'package link{number}\n\nimport _ "{next(iter(needs))}"\n'} if needs else {}
            found.modules.insert(0, found.add(Module(f"example.com/Link{number}", requires=needs, more=more)))
        yield found


def test_a_graph_cold_warm_and_cut_off(mirror: Mirror, tmp_path: Path) -> None:
    """With a fresh client, with the upstream gone, offline: the same hashes, and nothing asked twice."""
    seen = []
    for name in ("cold", "warm", "gone", "offline"):
        if name == "gone":
            mirror.up.stop()
        if name == "offline":
            mirror.server.env = {**mirror.server.env, "NORA_PROXY_MODE": "offline"}
            mirror.server.restart()
        go = go_of(tmp_path, f"{mirror.url},off", name, GOSUMDB=mirror.database.verifier)
        folder = write_program(tmp_path / f"program-{name}", {"example.com/Link0": "v1.0.0"})
        go("mod", "tidy", cwd=folder)
        go("mod", "download", cwd=folder)
        assert "all modules verified" in go("mod", "verify", cwd=folder)
        assert go("run", ".", cwd=folder).startswith("hello")
        seen.append((go.hashes(), (folder / "go.sum").read_text()))
        asked = [path for path in mirror.up.log.paths() if path.endswith((".info", ".mod", ".zip"))]
        assert len(asked) == len(set(asked))
    assert len(seen[0][0]) == LENGTH
    assert all(one == seen[0] for one in seen)


def test_versions_by_all_of_their_names(mirror: Mirror, tmp_path: Path) -> None:
    commit = "v1.2.1-0.20240101000000-abcdef123456"
    for version in ("v1.0.0", "v1.2.0", "v1.3.0-rc.1"):
        mirror.add(Module("example.com/many", version))
    mirror.add(Module("example.com/many", commit), listed=False)
    mirror.proxy.query("example.com/many", "main", commit)
    mirror.proxy.query("example.com/many", "latest", "v1.2.0")
    for module in (
        Module("example.com/many/v2", "v2.0.0"),
        Module("gopkg.in/yaml.v2", "v2.4.0"),
        Module("example.com/old", "v3.0.0+incompatible"),
    ):
        mirror.add(module)
    untagged = mirror.add(Module("example.com/untagged", "v0.0.0-20240101000000-abcdef123456"), listed=False)
    mirror.proxy.query(untagged.path, "latest", untagged.version)
    go = go_of(tmp_path, f"{mirror.url},off", GOSUMDB=mirror.database.verifier)
    folder = write_program(tmp_path / "program", {})
    for wanted, version in {
        "example.com/many@v1.0.0": "v1.0.0",
        "example.com/many@upgrade": "v1.2.0",
        "example.com/many@v1.0": "v1.0.0",
        "example.com/many@v1": "v1.2.0",
        "example.com/many@latest": "v1.2.0",
        "example.com/many@main": commit,
        "example.com/many/v2@latest": "v2.0.0",
        "gopkg.in/yaml.v2": "v2.4.0",
        "example.com/old@v3.0.0+incompatible": "v3.0.0+incompatible",
        "example.com/untagged": untagged.version,
    }.items():
        go("get", wanted, cwd=folder)
        assert f"{wanted.partition('@')[0]} {version}" in (folder / "go.mod").read_text(), wanted
    listed = go("list", "-m", "-versions", "example.com/many", cwd=folder).split()
    assert listed == ["example.com/many", "v1.0.0", "v1.2.0", "v1.3.0-rc.1"]


def test_go_shows_why_and_asks_nobody_else(mirror: Mirror, tmp_path: Path) -> None:
    """A block is no absence, and neither is a failure: only after 404 the next of a list is asked."""
    other = ModuleProxy(prefix="/other")
    other.mount(mirror.up)
    other.add(Module("example.com/Link3", text="of somebody else"))
    other.add(Module("example.com/elsewhere", text="elsewhere"))
    blocked = {"repository": "go", "name": "example.com/Link3", "reason": "it steals tokens"}
    answer = httpx.post(f"{mirror.server.url}/api/v1/admin/blocks", json=blocked, trust_env=False)
    assert answer.status_code == 200
    both = f"{mirror.url},{mirror.up.url}/other"
    program = write_program(tmp_path / "program", {})
    told = go_of(tmp_path, both, "blocked")("get", "example.com/Link3@v1.0.0", cwd=program, fails=True)
    assert "it steals tokens" in told
    told = go_of(tmp_path, mirror.url, "absent")("get", "example.com/none", cwd=program, fails=True)
    assert "there is no module example.com/none" in told
    go_of(tmp_path, both, "elsewhere")("get", "example.com/elsewhere", cwd=program)
    for kind in ("info", "mod", "zip"):
        mirror.up.serve(f"/example.com/%21link5/@v/v1.0.0.{kind}", Answer(status=500))
        other.files[f"example.com/Link5/@v/v1.0.0.{kind}"] = mirror.proxy.files[
            f"example.com/Link5/@v/v1.0.0.{kind}"
        ]
    for name, between, fails in (("comma", ",", True), ("bar", "|", False)):
        go = go_of(tmp_path, f"{mirror.url}{between}{mirror.up.url}/other", name)
        told = go("mod", "download", "example.com/Link5@v1.0.0", cwd=program, fails=fails)
        assert not fails or "50" in told


def test_what_the_sum_database_does_not_know_is_refused(mirror: Mirror, tmp_path: Path) -> None:
    """And what has another hash is not even passed on."""
    mirror.proxy.add(Module("example.com/unknown"))
    right = mirror.add(Module("example.com/changed"))
    mirror.proxy.add(Module("example.com/changed", text="changed"))
    go = go_of(tmp_path, f"{mirror.url},off", GOSUMDB=mirror.database.verifier)
    program = write_program(tmp_path / "program", {})
    assert "404" in go("get", "example.com/unknown", cwd=program, fails=True)
    assert "50" in go("get", "example.com/changed", cwd=program, fails=True)
    mirror.proxy.add(right)


def test_a_toolchain_is_a_module(mirror: Mirror, tmp_path: Path) -> None:
    version = run("go", "env", "GOVERSION").strip()
    wanted = f"{version.rpartition('.')[0]}.99" if version.count(".") == 2 else f"{version}.99"
    machine = "-".join(run("go", "env", "GOOS", "GOARCH").split())
    files = {
        "bin/go": f"#!/bin/sh\necho go version {wanted} of a test\n",
        "bin/gofmt": "",
        "pkg/tool/x": "",
        "lib/x": "",
        "VERSION": wanted,
    }
    path = "golang.org/toolchain"
    made = Module(path, f"v0.0.1-{wanted}.{machine}", more=files)
    mirror.add(made)
    env = {"GOSUMDB": mirror.database.verifier, "GOTOOLCHAIN": wanted}
    go = go_of(tmp_path, f"{mirror.url},off", **env)
    assert f"go version {wanted} of a test" in go("version", cwd=tmp_path)


# -- the page ----------------------------------------------------------------------------------------------


def test_what_the_page_says(registry: Server, tmp_path: Path) -> None:
    guide = Guide("go")
    module = Module("corp.example/team/hello")
    folder = tmp_path / "hello"
    folder.mkdir()
    for name, content in module.files.items():
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    git = ("git", "-c", "user.name=a", "-c", "user.email=a@b.c")
    for words in (("init",), ("add", "--all"), ("commit", "--message", "one"), ("tag", "v1.0.0")):
        run(*git, *words, cwd=folder)
    go = Go(tmp_path / "home")
    go.home.mkdir(exist_ok=True)
    environment = {
        name: value for name, value in go.environment.items() if name not in ("GOPROXY", "GOSUMDB")
    }
    terminal = Terminal(folder, (NORA.parent, go.folder), environment)
    here = {"http://localhost:4000": registry.url}
    publishing, sending, using = guide.blocks("console", "Modules of your own")
    terminal.type(*(f"{line} --url {registry.url}" for line in typed(publishing)))
    terminal.type(*typed(replaced(sending, here)))
    terminal.folder = write_program(tmp_path / "program", {})
    terminal.type(*typed(replaced(using, here)))
    assert "corp.example/team/hello v1.1.0" in (terminal.folder / "go.mod").read_text()


def test_the_first_block_works_as_typed(mirror: Mirror, tmp_path: Path) -> None:
    """Of a proxy that has the module and passes the public sum database on, under its own name."""
    mirror.add(Module("golang.org/x/text", "v0.9.0"))
    go = Go(tmp_path / "home", {"GOSUMDB": mirror.database.verifier})
    terminal = Terminal(write_program(tmp_path / "program", {}), (go.folder,), go.environment)
    block = Guide("go").block("console", "Modules of everybody")
    terminal.type(*typed(replaced(block, {"http://localhost:4000": mirror.server.url})))
    assert "golang.org/x/text v0.9.0" in (terminal.folder / "go.mod").read_text()
