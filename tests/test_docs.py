"""The documents are true: their tables, links, paths and commands are those of the code."""

from __future__ import annotations

import re
from pathlib import Path

from click import Command, Context

from nora.cli import main
from nora.cli._reference import updated
from nora.cli.user import add as add_user
from nora.config.names import Names
from nora.formats import discover, known_formats, load_config
from tests.support.tables import each

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
README = (ROOT / "README.md").read_text("utf-8")
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
DECISIONS = ROOT / "docs/decisions"
RECORDS = sorted(DECISIONS.glob("[0-9]*.md"))

PROMISED_VARIABLES = {
    "NORA_HOST": ("127.0.0.1", "bind address"),
    "NORA_PORT": ("4000", "port"),
    "NORA_STORAGE_MODE": ("local", "`local` or `s3`"),
    "NORA_AUTH_ENABLED": ("false", "authentication on"),
    "NORA_DOCKER_UPSTREAMS": ("Docker Hub", r"`url\|user:pass,…`"),
    "NORA_LOG_LEVEL": ("info", "trace, debug, info, warn, error"),
    "NORA_LOG_FORMAT": ("text", "text or json"),
    "NORA_PUBLIC_URL": ("-", "base of the links in documents"),
}
# Hosts of public registries other than Docker Hub: documents name the registries, not their addresses.
REGISTRY_HOST = re.compile(
    r"\b(ghcr|quay|gcr)\.io\b|\b(repo1?\.)?maven\.org\b|\bpypi\.org\b|\bcrates\.io\b"
    r"|\bregistry\.npmjs\.\w+|\bproxy\.golang\.org\b"
)


def rows(page: str, heading: str) -> list[list[str]]:
    """The rows of the first table below a heading, without its head."""
    lines = iter(page.partition(f"\n{heading}\n")[2].splitlines())
    table: list[list[str]] = []
    for line in lines:
        if line.startswith("|"):
            table.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
        elif table:
            break
    return table[2:]


def commands(page: str) -> list[str]:
    """What the page tells to type: the lines with a prompt, and `nora …` in the text."""
    typed = re.findall(r"^\$ (?:[A-Z_]+=\S+ )*(.+)$", page, re.MULTILINE)
    return typed + re.findall(r"`(nora(?: [a-z-]+)*)`", page)


@each("page", PAGES)
def test_links_resolve(page: Path) -> None:
    text = page.read_text("utf-8")
    for target in re.findall(r"\]\(([^)#]*)(?:#[^)]*)?\)", text):
        if not target.startswith("https://"):
            assert (page.parent / target).exists(), target
    for file, anchor in re.findall(r"\]\(([^)#]*)#([^)]+)\)", text):
        headings = re.findall(
            r"^#+ (.+)$", (page.parent / file if file else page).read_text("utf-8"), re.MULTILINE
        )
        assert anchor in [re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in headings]


@each("page", PAGES)
def test_no_page_names_the_address_of_a_public_registry(page: Path) -> None:
    assert REGISTRY_HOST.findall(page.read_text("utf-8")) == []


@each("page", PAGES)
def test_every_command_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    for line in commands(page.read_text("utf-8")):
        program, *words = line.split()
        if program == "make":
            assert words[0] in targets, line
        elif program == "nora" and words and not words[0].startswith("-"):
            assert isinstance(main.get_command(Context(main), words[0]), Command), line


def test_the_first_screen_starts_pushes_and_pulls() -> None:
    first = [line for line in commands(README) if not line.startswith("nora")][:5]
    assert first == [
        "make run",
        "docker tag <image> localhost:4000/team/app:1",
        "docker push localhost:4000/team/app:1",
        "docker pull localhost:4000/team/app:1",
        "make test",
    ]


def test_the_table_of_variables_is_what_was_promised() -> None:
    table = {row[0].strip("`"): (row[1], row[2]) for row in rows(README, "## Configuration")}
    assert table == PROMISED_VARIABLES


def test_promised_defaults_are_the_defaults() -> None:
    declared = Names(known_formats()).settings
    for variable, (default, _) in PROMISED_VARIABLES.items():
        value = declared[variable].default
        shown = {None: "-", False: "false"}.get(value) if isinstance(value, bool | None) else str(value)
        if variable == "NORA_DOCKER_UPSTREAMS":
            (known,) = (one for one in known_formats().served if one.name == "docker")
            shown = "Docker Hub" if "docker.io" in known.default_upstreams()[0].url else shown
        assert shown == default, variable


def test_the_table_of_formats_is_what_is_there() -> None:
    table = {row[1].strip("`"): row[2] for row in rows(README, "## Formats")}
    assert {mount for mount, state in table.items() if state != "planned"} == {
        one.mount for one in discover()
    }


def test_the_table_of_commands_is_what_is_there() -> None:
    named = {word for row in rows(README, "## Commands") for word in re.findall(r"`nora ([a-z-]+)", row[0])}
    named -= {"--version"}
    assert named == set(main.list_commands(Context(main)))


def test_the_reference_of_settings_is_made_from_their_declarations() -> None:
    page = (ROOT / "docs/configuration.md").read_text("utf-8")
    assert page == updated(page), "run: python -m nora.cli._reference docs/configuration.md"


def test_the_architecture_stays_short() -> None:
    assert len(ARCHITECTURE.encode()) < 12_000


@each("page", RECORDS)
def test_a_decision_record_is_one_page_with_its_reasons(page: Path) -> None:
    lines = page.read_text("utf-8").splitlines()
    assert len(lines) <= 60
    assert re.match(rf"# {int(page.name[:4])}\. [A-Z]", lines[0])
    assert {"**What.**", "**Why.**", "**Instead of.**"} <= {line[: line.find("**", 2) + 2] for line in lines}


def test_decision_records_have_numbers_of_their_own() -> None:
    numbers = [page.name[:5] for page in RECORDS]
    assert numbers == [f"{number:04}-" for number in range(1, len(RECORDS) + 1)]


def test_the_index_of_decisions_has_every_record_below_its_rooms() -> None:
    index = (DECISIONS / "README.md").read_text("utf-8")
    listed = set()
    for section in index.split("\n## ")[1:]:
        room = section.partition("\n")[0].strip("`")
        places = (ROOT / "nora" / room, ROOT / f"nora/{room}.py", ROOT / room)
        assert any(place.exists() for place in places), room
        listed |= {(room, *link) for link in re.findall(r"^- \[(.+)\]\((.+)\)$", section, re.MULTILINE)}
    assert listed == {
        (room, title, page.name)
        for page in RECORDS
        for title, _, rooms in [page.read_text("utf-8").removeprefix("# ").split("\n", 3)[:3]]
        for room in re.findall(r"`([^`]+)`", rooms)
    }


def test_every_path_of_the_architecture_exists() -> None:
    for path in re.findall(r"`((?:nora|tests)/[\w/.]+)`", ARCHITECTURE):
        assert (ROOT / path).exists(), path


def test_the_architecture_knows_every_room() -> None:
    section = ARCHITECTURE.partition("\n## The rooms\n")[2].partition("\n## ")[0]
    for room in (ROOT / "nora").iterdir():
        if room.name.startswith("__"):
            continue
        name = f"nora/{room.name}/" if room.is_dir() else f"nora/{room.name}"
        has_code = room.is_file() or any(room.glob("*.py"))
        assert not has_code or name in section, name


def test_every_container_of_the_documents_is_on_the_loopback_or_asks_who_is_there() -> None:
    pages = [page.read_text("utf-8") for page in [*PAGES, ROOT / "Dockerfile"]]
    found = [
        line
        for text in pages
        for line in re.findall(r"docker run (?:[^\n]|(?<=\\)\n)*", text)
        if " nora" in line and "--publish" in line
    ]
    assert len(found) >= 4, found
    for line in found:
        assert "--publish 127.0.0.1:" in line or "NORA_AUTH_ENABLED=true" in line, line


def test_the_container_has_its_users_beside_its_data(tmp_path: Path) -> None:
    """`-v ./users.htpasswd:/data/users.htpasswd -e NORA_AUTH_ENABLED=true` is all that it needs."""
    recipe = (ROOT / "Dockerfile").read_text("utf-8").replace("\\\n", "")
    lines = re.findall(r"'([^']*)'", recipe.partition("printf '%s\\n'")[2].partition(">")[0])
    (tmp_path / "config.toml").write_text("\n".join(lines))
    config = load_config({"NORA_AUTH_ENABLED": "true"}, tmp_path)
    assert config.auth.htpasswd_file == Path("/data/users.htpasswd")
    assert config.storage.path == Path("/data/storage")
    assert "users.htpasswd:/data/users.htpasswd" in README


def test_the_user_that_the_readme_makes_is_an_administrator(tmp_path: Path) -> None:
    (line,) = re.findall(r"^\$ (htpasswd .+)$", README, re.MULTILINE)
    *options, name, _ = line.split()[1:]
    assert load_config({}, tmp_path).auth.role_of(name) == "admin"
    assert options[:1] == ["-cbB"]
    (cost,) = (one.default for one in add_user.params if one.name == "cost")
    assert options[options.index("-C") + 1] == str(cost), "the cost that `nora user` takes"


def test_the_licence_is_mit() -> None:
    assert (ROOT / "LICENSE").read_text("utf-8").startswith("MIT License")
