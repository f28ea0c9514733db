"""cargo: publications, builds of what was published, and crates-io behind the registry."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.clients.conftest import Closed
from tests.support import certificates
from tests.support.answers import Answer
from tests.support.cargo_client import Cargo, write_crate
from tests.support.crate_index import CrateIndex
from tests.support.crates import Built
from tests.support.guides import Guide, Terminal, typed
from tests.support.relay import Relay
from tests.support.server import Server, running
from tests.support.upstream import Upstream
from tests.support.upstream import upstream as running_upstream

pytestmark = pytest.mark.client("cargo", "rustc")
API = "/cargo/api/v1/crates"
NAMED = """
[registries.nora]
index = "sparse+{url}/cargo/index/"
credential-provider = ["cargo:token"]
"""
REPLACED = """
[source.crates-io]
replace-with = "mirror"
[source.mirror]
registry = "sparse+{url}/cargo/index/"
"""
PROGRAM = 'fn main() {{ println!("{{}}", {}); }}'


@pytest.fixture
def cargo(registry: Server, tmp_path: Path) -> Cargo:
    """One that has a token, which any server without authentication takes."""
    found = Cargo(tmp_path / "cargo", {"CARGO_REGISTRIES_NORA_TOKEN": "any"})
    found.configure(NAMED.format(url=registry.url))
    return found


def index_lines(http: httpx.Client, path: str) -> list[dict[str, object]]:
    answer = http.get(f"/cargo/index/{path}")
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.content.splitlines()]


def publish(cargo: Cargo, folder: Path, *words: str, fails: bool = False) -> str:
    return cargo("publish", "--registry", "nora", *words, cwd=folder, fails=fails)


def depends(*lines: str) -> str:
    return "[dependencies]\n" + "\n".join(lines) + "\n"


# -- publications ------------------------------------------------------------------------------------------


def test_what_was_published_is_built(cargo: Cargo, web: httpx.Client, tmp_path: Path) -> None:
    """A name in mixed case, a renamed dependency, features of both syntaxes, links, rust-version."""
    base = 'rust-version = "1.60"\n[features]\nextra = []\n'
    source = 'pub fn told() -> &\'static str { if cfg!(feature = "extra") { "extra" } else { "plain" } }'
    publish(cargo, write_crate(tmp_path / "base", "BuildBase", more=base, source=source))
    middle = 'links = "nothing"\n' + depends(
        'ren = { package = "BuildBase", version = "1", registry = "nora", optional = true }',
    )
    middle += '[features]\nwith = ["dep:ren", "ren?/extra"]\nold = []\n'
    folder = write_crate(
        tmp_path / "middle",
        "build-middle",
        more=middle,
        source="pub fn told() -> &'static str { ren::told() }",
        build="fn main() {}",
    )
    publish(cargo, folder, "--all-features")  # builds it with what was just published
    assert index_lines(web, "bu/il/buildbase")[0]["name"] == "BuildBase"
    (line,) = index_lines(web, "bu/il/build-middle")
    assert (line["links"], line["v"]) == ("nothing", 2)
    assert line["features2"] == {"with": ["dep:ren", "ren?/extra"]}
    user = depends('build-middle = { version = "1", registry = "nora", features = ["with"] }')
    program = PROGRAM.format("build_middle::told()")
    folder = write_crate(tmp_path / "user", "user", more=user, source=program)
    assert "extra" in cargo("run", "--quiet", cwd=folder)
    assert "rust-version: 1.60" in cargo("info", "--registry", "nora", "BuildBase", cwd=tmp_path)


def test_a_version_is_published_once(cargo: Cargo, web: httpx.Client, tmp_path: Path) -> None:
    folder = write_crate(tmp_path / "once", "once-only")
    publish(cargo, folder)
    # cargo looks before it asks; who does not look is told by the registry
    assert "already" in publish(cargo, folder, fails=True)
    other = Built("once-only", maker="// other bytes")
    answer = web.put(f"{API}/new", content=other.publication())
    assert answer.status_code == 409
    for name in ("once_only", "Once-Only"):
        said = publish(cargo, write_crate(tmp_path / name, name, "2.0.0"), fails=True)
        assert "the crate once-only is here" in said
    said = publish(cargo, write_crate(tmp_path / "b", "once-only", "1.0.0+b"), fails=True)
    assert re.search(r"build\s+metadata|already exists", said)


def test_a_yanked_version_is_passed_over_and_still_served(
    cargo: Cargo, web: httpx.Client, tmp_path: Path
) -> None:
    for version in ("1.0.0", "1.1.0"):
        source = f'pub fn told() -> &\'static str {{ "{version}" }}'
        publish(cargo, write_crate(tmp_path / version, "yanked-one", version, source=source))
    user = depends('yanked-one = { version = "1", registry = "nora" }')
    program = PROGRAM.format("yanked_one::told()")
    first, second = (write_crate(tmp_path / name, name, more=user, source=program) for name in ("a", "b"))
    cargo("generate-lockfile", cwd=first)
    before = index_lines(web, "ya/nk/yanked-one")
    cargo("yank", "--registry", "nora", "--version", "1.1.0", "yanked-one", cwd=tmp_path)
    assert index_lines(web, "ya/nk/yanked-one") == [before[0], {**before[1], "yanked": True}]
    assert "1.1.0" in cargo("run", "--quiet", "--locked", cwd=first)
    assert "1.0.0" in cargo("run", "--quiet", cwd=second)
    cargo("yank", "--registry", "nora", "--version", "1.1.0", "--undo", "yanked-one", cwd=tmp_path)
    (second / "Cargo.lock").unlink()
    assert "1.1.0" in cargo("run", "--quiet", cwd=second)


def test_search_finds_words_of_names(cargo: Cargo, tmp_path: Path) -> None:
    publish(cargo, write_crate(tmp_path / "one", "Searched-Widget", "1.2.0"), "--no-verify")
    for words in (("searched_widget",), ("widget searched",), ("SEARCHED", "widget")):
        said = cargo("search", "--registry", "nora", *words, cwd=tmp_path)
        assert 'Searched-Widget = "1.2.0"' in said
        assert "a crate of a test" in said
    assert "Searched" not in cargo("search", "--registry", "nora", "schön & widget", cwd=tmp_path)


# -- who is asking -----------------------------------------------------------------------------------------

ALONE = """
[registry]
global-credential-providers = ["cargo:token"]
[registries.nora]
index = "sparse+{url}/cargo/index/"
"""


def test_a_closed_registry_asks_to_log_in(closed: Closed, tmp_path: Path) -> None:
    cargo = Cargo(tmp_path / "cargo")
    cargo.configure(ALONE.format(url=closed.server.url))
    folder = write_crate(tmp_path / "one", "closed-crate", source="pub fn told() -> u8 { 7 }")
    said = publish(cargo, folder, fails=True)
    assert f"{closed.server.url}/cargo/me" in said or "no token found" in said
    more = depends('closed-crate = { version = "1", registry = "nora" }')
    user = write_crate(tmp_path / "user", "user", more=more, source=PROGRAM.format("closed_crate::told()"))
    assert "cargo login" in cargo("fetch", cwd=user, fails=True)
    (tmp_path / "token").write_text(closed.write.secret)
    Terminal(tmp_path, (cargo.folder,), cargo.environment).type("cargo login --registry nora < token")
    publish(cargo, folder)
    assert "7" in cargo("run", "--quiet", cwd=user)
    cargo("owner", "--registry", "nora", "--add", "alice", "closed-crate", cwd=tmp_path)
    assert {"alice", "ci"} <= set(
        cargo("owner", "--registry", "nora", "--list", "closed-crate", cwd=tmp_path).split()
    )
    cargo("owner", "--registry", "nora", "--remove", "alice", "closed-crate", cwd=tmp_path)
    cargo("logout", "--registry", "nora", cwd=tmp_path)
    for token, told in ((closed.read.secret, "403"), (f"Bearer {closed.write.secret}", "")):
        other = Cargo(tmp_path / "other", {"CARGO_REGISTRIES_NORA_TOKEN": token})
        other.configure(ALONE.format(url=closed.server.url))
        assert "7" in other("run", "--quiet", cwd=user)
        folder = write_crate(tmp_path / "two", "closed-crate", "2.0.0")
        assert told in publish(other, folder, "--no-verify", fails=bool(told))


def test_who_is_no_owner_is_told_whom_to_ask(closed: Closed, tmp_path: Path) -> None:
    with httpx.Client(base_url=closed.server.url, headers=closed.admin.bearer, trust_env=False) as admin:
        assert admin.put(f"{API}/new", content=Built("owned-crate").publication()).status_code == 200
        assert admin.put(f"{API}/owned-crate/owners", json={"users": ["alice"]}).status_code == 200
        assert admin.request("DELETE", f"{API}/owned-crate/owners", json={"users": ["ci"]}).is_success
    cargo = Cargo(tmp_path / "cargo", {"CARGO_REGISTRIES_NORA_TOKEN": closed.write.secret})
    cargo.configure(ALONE.format(url=closed.server.url))
    folder = write_crate(tmp_path / "one", "owned-crate", "2.0.0")
    assert "ask one of alice" in publish(cargo, folder, "--no-verify", fails=True)


# -- crates-io behind it -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Mirror:
    server: Server
    up: Upstream
    index: CrateIndex


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[Mirror]:
    """A registry whose upstream has a chain of crates, each of which needs the next."""
    with ExitStack() as stack:
        up = stack.enter_context(running_upstream())
        index = CrateIndex()
        index.mount(up)
        add_chain(index, 40)
        env = {"NORA_CARGO_PROXY": up.url, "NORA_PROXY_MODE": "online"}
        yield Mirror(stack.enter_context(running(tmp_path / "server", workers=2, env=env)), up, index)


def add_chain(index: CrateIndex, length: int) -> None:
    for number in range(length):
        needs = [{"name": f"Link{number + 1}", "req": "^1", "features": [], "optional": False}]
        needs = needs if number + 1 < length else []
        deps = [
            {**one, "default_features": True, "target": None, "kind": "normal", "registry": None}
            for one in needs
        ]
        lines = [f'{one["name"]} = "1"' for one in needs]
        more = depends(*lines) if lines else ""
        index.add(f"Link{number}", "1.0.0+b.1", manifest=more, deps=deps)


def user_of(folder: Path, name: str = "Link0") -> Path:
    return write_crate(folder, "user", more=depends(f'{name} = "1"'), source="fn main() {}")


def test_crates_io_is_replaced(mirror: Mirror, tmp_path: Path) -> None:
    """Cold, warm, with a fresh client, with the upstream gone: one lock file, nothing asked twice."""
    locks = []
    for number, home in enumerate(("first", "first", "second", "third")):
        cargo = Cargo(tmp_path / home)
        cargo.configure(REPLACED.format(url=mirror.server.url))
        if home == "third":
            mirror.up.stop()
        folder = user_of(tmp_path / f"user{number}")
        cargo("fetch", cwd=folder)
        cargo("build", "--quiet", cwd=folder) if number == 0 else None
        locks.append((folder / "Cargo.lock").read_text())
        asked = [path for path in mirror.up.log.paths() if "config.json" not in path]
        assert len(asked) == len(set(asked)) == 80
    assert len(set(locks)) == 1
    assert locks[0].count('source = "registry+') == 40
    assert mirror.server.url not in locks[0]


def test_what_cargo_has_is_not_sent_again(mirror: Mirror, tmp_path: Path) -> None:
    cargo, folder = Cargo(tmp_path / "cargo"), user_of(tmp_path / "user")
    relay = Relay(mirror.server.url)
    with relay.running() as between:
        cargo.configure(REPLACED.format(url=between.url))
        cargo("fetch", cwd=folder)
        assert relay.statuses() == [200] * 41
        relay.kinds.clear()
        cargo("update", cwd=folder)
    told = {path: status for _, path, status in relay.kinds}
    assert told.pop("/cargo/index/config.json") == 200
    assert len(told) == 40
    assert set(told.values()) == {304}


def test_over_tls_cargo_speaks_http_2(tmp_path: Path) -> None:
    made = certificates.make(tmp_path / "certificates")
    index = CrateIndex()
    add_chain(index, 40)
    with running_upstream() as up:
        index.mount(up)
        env = {
            "NORA_CARGO_PROXY": up.url,
            "NORA_PROXY_MODE": "online",
            "NORA_TLS_CERT": str(made.certificate),
            "NORA_TLS_KEY": str(made.key),
        }
        with running(tmp_path / "server", workers=2, env=env) as server:
            logged = {"CARGO_HTTP_DEBUG": "true", "CARGO_LOG": "network=debug"}
            cargo = Cargo(tmp_path / "cargo", {"CARGO_HTTP_CAINFO": str(made.authority), **logged})
            cargo.configure(REPLACED.format(url=server.url))
            folder = user_of(tmp_path / "user")
            said = cargo("fetch", cwd=folder)
            assert re.search(r"HTTP/2 200|using HTTP/2", said)
            assert (folder / "Cargo.lock").read_text().count('source = "registry+') == 40


def test_who_takes_a_name_that_was_served_is_told(mirror: Mirror, tmp_path: Path) -> None:
    """Whoever administrates the registry may; the next command sees the crate."""
    cargo = Cargo(tmp_path / "cargo", {"CARGO_REGISTRIES_NORA_TOKEN": "any"})
    cargo.configure(NAMED.format(url=mirror.server.url))
    user = write_crate(
        tmp_path / "user", "user", more=depends('Link39 = { version = "1", registry = "nora" }')
    )
    cargo("fetch", cwd=user)
    said = publish(cargo, write_crate(tmp_path / "one", "Link39", "1.1.0"))
    assert re.search(r"warning: .*was served here from", said.replace("\n", " "))
    cargo("update", cwd=user)
    assert 'version = "1.1.0"' in (user / "Cargo.lock").read_text()


def test_cargo_goes_on_when_the_upstream_comes_back(mirror: Mirror, tmp_path: Path) -> None:
    """What could not be asked for is no 404: cargo tries again, and has it."""
    cargo = Cargo(tmp_path / "cargo")
    cargo.configure(REPLACED.format(url=mirror.server.url))
    mirror.up.once("/li/nk/link3", *[Answer(status=500)] * 3)
    mirror.up.once("/dl/Link5/1.0.0+b.1/download", Answer(status=503), Answer(status=200, body=b"cut", cut=1))
    cargo("fetch", cwd=user_of(tmp_path / "user"))


# -- the page ----------------------------------------------------------------------------------------------


def test_what_the_page_says(registry: Server, tmp_path: Path) -> None:
    guide = Guide("cargo")
    old, new = "http://localhost:4000", registry.url
    folder = write_crate(tmp_path / "hello", "hello", source='pub const TOLD: &str = "hello";')
    (folder / ".cargo").mkdir()
    own = guide.blocks("toml", "Crates of your own")
    (folder / ".cargo" / "config.toml").write_text(own[0].replace(old, new))
    cargo = Cargo(tmp_path / "cargo")
    terminal = Terminal(folder, (cargo.folder,), cargo.environment)
    manifest = folder / "Cargo.toml"
    package, _, needs = own[1].partition("[dependencies]\n")
    manifest.write_text(manifest.read_text() + package.replace("[package]\n", ""))
    told = terminal.type(*typed(guide.block("console", "Crates of your own")))
    assert 'hello = "1.0.0"' in told
    user = write_crate(
        tmp_path / "user",
        "user",
        more="[dependencies]\n" + needs,
        source=PROGRAM.format("hello::TOLD"),
    )
    (user / ".cargo").mkdir()
    (user / ".cargo" / "config.toml").write_text(own[0].replace(old, new))
    assert "hello" in cargo("run", "--quiet", cwd=user)
    for heading in ("Crates of crates-io", "Who is asking"):
        other = Cargo(tmp_path / heading.replace(" ", "-"), {"CARGO_REGISTRIES_NORA_TOKEN": "any"})
        other.configure(guide.blocks("toml", heading)[0].replace(old, new))
        web = httpx.put(f"{new}{API}/new", content=Built("page-crate").publication(), trust_env=False)
        assert web.status_code == 200
        folder = user_of(tmp_path / f"in-{other.home.name}", "page-crate")
        other("fetch", cwd=folder)
        assert 'source = "registry+' in (folder / "Cargo.lock").read_text()
