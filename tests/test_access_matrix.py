"""Every route and every kind of caller, through a real server: tests/access_matrix.toml says who gets what.

Nothing here knows how NORA decides. The application itself lists its routes, and one that nobody has written
into the file fails.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import sqlite3
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from nora.app import build_app
from nora.blobs.layout import Layout
from nora.formats import load_config
from nora.formats.cargo.names import prefix_of
from tests.support.access import Credentials, make_token, revoke_tokens, write_users
from tests.support.catalogs import prepare_catalog
from tests.support.crates import Built as BuiltCrate
from tests.support.go_modules import Module
from tests.support.npm_registry import Built as NpmBuilt
from tests.support.oci import IMAGE, Image, Repository, digest
from tests.support.server import Server, running
from tests.support.tables import each
from tests.support.wheels import Built, Release

MATRIX: dict[str, Any] = tomllib.loads((Path(__file__).parent / "access_matrix.toml").read_text())
ROUTES: list[dict[str, Any]] = MATRIX["route"]
PROVIDER = """
[[auth.oidc.providers]]
name = "ci"
issuer = "https://127.0.0.1:9/"
audience = "nora"
[[auth.oidc.providers.role_rules]]
role = "write"
pattern = "repo:org/*"
"""
NUMBERS = itertools.count()
OF_PACKAGES = ("{name}", "{project}", "{crate}", "{@package}", "{module...}", "{path...}")
GETS = [one for one in ROUTES if one["route"].startswith("GET ") and one["route"] != "GET /metrics"]
"""But for numbers that are others at each request."""
UNIQUE = {"date", "x-request-id"}
"""Header fields of which each answer has its own."""
CALLERS = {name for row in MATRIX["class"].values() for name in row}
NAME, ABSENT, CHUNK = "team/app", "team/absent", b"a chunk"
PATTERN = "docker:team/*"
ENTRIES = "/api/v1/repositories/{repository}/entries/{path...}"
Caller = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Place:
    """A registry, an administrator's client of it, and what the callers send to it."""

    http: httpx.Client
    admin: httpx.Client
    callers: dict[str, Credentials | None]
    images: dict[str, Image] = field(default_factory=dict)
    """By name, those that are there as they were pushed."""


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Nobody gets anything without credentials."""
    with registry(tmp_path_factory.mktemp("closed")) as server:
        admin = make_token(server, "--role", "admin")
        roles = {role: make_token(server, "--role", role) for role in ("read", "write")}
        scopes = {
            "scoped": f"{PATTERN}:read,write",
            "outside": "docker:elsewhere/*:read,write",
            "deleter": f"{PATTERN}:read,write,delete",
        }
        parts = {
            name: make_token(server, "--role", "write", "--scope", scope) for name, scope in scopes.items()
        }
        with client(server) as http, client(server, admin) as administrator:
            granted = http.get(
                f"/v2/token?scope=repository:{NAME}:pull&scope=repository:{ABSENT}:pull&offline_token=true",
                auth=roles["write"].basic,
            ).json()
            callers = {
                "anonymous": None,
                "admin": admin,
                **roles,
                **parts,
                "session": Credentials("ci", granted["token"]),
                "audience": Credentials("ci", granted["refresh_token"]),
                "expired": expired(server),
                "revoked": revoked(server, http),
            }
            yield Place(http, administrator, callers)


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Anybody may read."""
    folder = tmp_path_factory.mktemp("public")
    with registry(folder, NORA_AUTH_ANONYMOUS_READ="true") as server:
        admin = make_token(server, "--role", "admin")
        with client(server) as http, client(server, admin) as administrator:
            callers = {"public": None, "foreign": Credentials("somebody", "dckr_pat_of_another_registry")}
            yield Place(http, administrator, callers)


def registry(folder: Path, **env: str) -> Any:
    """A running server; the failures of the callers are not to lock them out."""
    off = {f"NORA_RATE_LIMIT_{name}": "0" for name in ("AUTH_RPS", "AUTH_BURST", "GENERAL_RPS", "UPLOAD_RPS")}
    # With a hash that is cheap to check, which those of unknown names cost, too.
    users = {"NORA_AUTH_HTPASSWD_FILE": str(write_users(folder / "users", somebody="else"))}
    return running(folder, env={**settings(folder / "data"), **off, **users, **env})


def settings(folder: Path) -> dict[str, str]:
    """All that has routes is on, below `folder`, where the configuration is looked for."""
    folder.mkdir(exist_ok=True)
    (folder / "config.toml").write_text(PROVIDER)
    return {"NORA_AUTH_ENABLED": "true", "NORA_AUTH_OIDC_ENABLED": "true"}


def client(server: Server, who: Credentials | None = None) -> httpx.Client:
    headers = who.bearer if who is not None else {}
    return httpx.Client(base_url=server.url, timeout=30, trust_env=False, headers=headers)


def expired(server: Server) -> Credentials:
    """A token whose time is over; nobody wants to wait for that."""
    token = make_token(server, "--role", "admin", "--ttl-days", "1", user="late")
    with sqlite3.connect(Layout(server.storage).catalog, timeout=30) as catalog:
        catalog.execute("UPDATE token SET expires_at = 1 WHERE owner = 'late'")
    return token


def revoked(server: Server, http: httpx.Client) -> Credentials:
    """A token that was good until a moment ago."""
    token = make_token(server, "--role", "admin", user="gone")
    assert http.get("/v2/", headers=token.bearer).status_code == 200
    revoke_tokens(server, "gone")
    return token


# -- the file ------------------------------------------------------------------------------------------------


def test_no_route_is_missing(tmp_path: Path) -> None:
    """The application that runs lists what it answers; each entry is in the file, and nothing else is."""
    environ = {"NORA_STORAGE_PATH": str(tmp_path / "storage"), "NORA_PROXY_MODE": "offline"}
    config = load_config({**environ, **settings(tmp_path)}, tmp_path)
    config.storage.path.mkdir()
    prepare_catalog(Layout(config.storage.path).catalog)

    async def listing() -> set[str]:
        app = build_app(config)
        await app.start()
        try:
            return {f"{method} {path}" for method, path in app.routes()}
        finally:
            await app.stop()

    assert asyncio.run(listing()) == {entry["route"] for entry in ROUTES}


def test_head_is_answered_wherever_get_is() -> None:
    routes = {entry["route"] for entry in ROUTES}
    assert {f"HEAD {one.removeprefix('GET ')}" for one in routes if one.startswith("GET ")} <= routes


@each("name", MATRIX["class"])
def test_every_class_speaks_of_every_caller(name: str) -> None:
    assert MATRIX["class"][name].keys() == CALLERS


# -- the matrix ----------------------------------------------------------------------------------------------


def expectations(entry: dict[str, Any]) -> dict[str, str]:
    """What each caller must see; a HEAD shows no code."""
    row: dict[str, str] = MATRIX["class"][entry["class"]]
    return {name: text[:3] if is_head(entry) and text[:3].isdigit() else text for name, text in row.items()}


def is_head(entry: dict[str, Any]) -> bool:
    return bool(entry["route"].startswith("HEAD "))


def names_something(entry: dict[str, Any]) -> bool:
    return any(name in entry["route"] for name in OF_PACKAGES)


def title(entry: dict[str, Any]) -> str:
    return f"{entry['route']} {entry.get('reference') or entry.get('query') or ''}".strip()


@pytest.mark.parametrize("entry", ROUTES, ids=title)
def test_who_gets_what(entry: dict[str, Any], closed: Place, public: Place) -> None:
    expected = expectations(entry)
    assert seen_by(expected, entry, NAME, (closed, public)) == {
        name: entry["allowed"] if wanted == "allowed" else wanted for name, wanted in expected.items()
    }


@pytest.mark.parametrize("entry", GETS, ids=title)
def test_the_head_of_an_answer_is_that_of_get(entry: dict[str, Any], closed: Place) -> None:
    """RFC 9110, 9.3.2, also of who is refused and of what is absent."""
    head = {**entry, "route": f"HEAD {entry['route'].removeprefix('GET ')}"}
    content = prepare(closed, entry, published=True)
    for name in (NAME, ABSENT):
        for who in ("admin", "anonymous", "outside"):
            got, headed = (send(closed, one, name, closed.callers[who], content) for one in (entry, head))
            assert (headed.status_code, headed.content) == (got.status_code, b""), who
            other = UNIQUE | {"transfer-encoding"}  # of which a HEAD may say nothing
            if "/ui/" in entry["route"]:
                other |= {"content-length"}  # a page tells the time
            told, said = ({k: v for k, v in one.headers.items() if k not in other} for one in (headed, got))
            assert told == said, who


@pytest.mark.parametrize("entry", [entry for entry in ROUTES if names_something(entry)], ids=title)
def test_nobody_learns_what_is_there(entry: dict[str, Any], closed: Place, public: Place) -> None:
    """Who is refused is refused in the same way where there is no such image, no such project."""
    refused = {name: wanted for name, wanted in expectations(entry).items() if wanted != "allowed"}
    assert seen_by(refused, entry, ABSENT, (closed, public)) == refused
    if "absent" in entry:
        fresh = f"{ABSENT}-{next(NUMBERS)}"  # a push that fails takes the name all the same
        answer = outcome(
            send(closed, entry, fresh, closed.callers["admin"], prepare(closed, entry)), entry["route"]
        )
        assert answer == (entry["absent"][:3] if is_head(entry) else entry["absent"])


def test_refusals_say_how_to_come_in(closed: Place) -> None:
    """A challenge with the scope that is needed, or none where nothing would help."""
    path = f"/v2/{NAME}/manifests/1"
    for method, who, actions, error in (
        ("GET", "anonymous", "pull", None),
        ("GET", "revoked", "pull", None),
        ("PUT", "anonymous", "pull,push", None),
        ("PUT", "session", "pull,push", "insufficient_scope"),
    ):
        answer = closed.http.request(method, path, headers=headers_of(closed.callers[who]))
        challenge = answer.headers["www-authenticate"]
        host = httpx.URL(str(closed.http.base_url)).netloc.decode()
        wanted = f'Bearer realm="http://{host}/v2/token",service="{host}",scope="repository:{NAME}:{actions}"'
        assert challenge == wanted + (f',error="{error}"' if error else "")
        assert answer.headers["docker-distribution-api-version"] == "registry/2.0"
    denied = closed.http.put(path, headers=headers_of(closed.callers["read"]))
    assert (denied.status_code, "www-authenticate" in denied.headers) == (403, False)
    assert "scope=" not in closed.http.get("/v2/").headers["www-authenticate"]


def test_a_listing_holds_what_one_may_read(closed: Place) -> None:
    for name in ("elsewhere/a", "elsewhere/b", NAME, "zoo/z"):
        push(closed, name)
    seen = {}
    for who in ("read", "scoped", "outside", "session"):
        answer = closed.http.get("/v2/_catalog?n=1000", headers=headers_of(closed.callers[who]))
        seen[who] = answer.json()["repositories"]
    assert seen["outside"] == ["elsewhere/a", "elsewhere/b"]
    assert seen["scoped"] == seen["session"] == [NAME]
    assert seen["read"] == ["elsewhere/a", "elsewhere/b", NAME, "zoo/z"]
    page = closed.http.get("/v2/_catalog?n=1", headers=headers_of(closed.callers["outside"]))
    assert (page.json()["repositories"], page.links["next"]["url"]) == (
        ["elsewhere/a"],
        "/v2/_catalog?n=1&last=elsewhere%2Fa",
    )
    last = closed.http.get(page.links["next"]["url"], headers=headers_of(closed.callers["outside"]))
    assert (last.json()["repositories"], last.links) == (["elsewhere/b"], {})


def test_a_mount_takes_nothing_that_one_may_not_read(closed: Place) -> None:
    """Named or not, a source that may not be read does not exist; one that may is mounted."""
    secret = push(closed, "zoo/secret", seed="only there")
    layer = digest(secret.layers[0])
    for who, source, status in (
        ("scoped", "&from=zoo/secret", 202),
        ("scoped", "", 202),
        ("write", "&from=zoo/secret", 201),
        ("write", "", 201),
    ):
        answer = closed.http.post(
            f"/v2/team/{who}/blobs/uploads/?mount={layer}{source}", headers=headers_of(closed.callers[who])
        )
        assert answer.status_code == status, (who, source)


# -- one request ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Content:
    """What a request may name: an image that is there, a release that is if the request is about one, and an
    upload session."""

    image: Image | None
    wheel: Built
    crate: BuiltCrate
    npm: NpmBuilt
    path: str
    module: Module
    session: str


def prepare(place: Place, entry: dict[str, Any], *, published: bool = False) -> Content:
    path = entry["route"].partition(" ")[2]
    of_image = any(one in path for one in ("{name}", "{package...}", "/operations"))
    image = push(place, NAME) if of_image else None
    wheel = Release(project=f"python-{next(NUMBERS)}").wheel()
    if "{project}" in path and published:
        upload(place.admin, "/legacy/", wheel)
    crate = BuiltCrate(f"cargo-{next(NUMBERS)}")
    if "{crate}" in path and published:
        assert place.admin.put("/cargo/api/v1/crates/new", content=crate.publication()).status_code == 200
    npm = NpmBuilt(f"npm-{next(NUMBERS)}")
    if "{@package}" in path and published:
        assert place.admin.put(f"/npm/{npm.name}", json=npm.publication()).status_code == 201
    artifact = f"file-{next(NUMBERS)}"
    file = f"com/example/{artifact}/1.0/{artifact}-1.0.txt"
    for mount in ("/raw/", "/maven2/"):
        if published and path in (f"{mount}{{path...}}", "/ui/files/{repository}/{path...}", ENTRIES):
            assert place.admin.put(f"{mount}{file}", content=CHUNK).status_code == 201
    module = Module(f"go.example/m{next(NUMBERS)}")
    if "{module...}" in path and published:
        assert place.admin.put(f"/go/{module.url('zip')}", content=module.body).status_code == 201
    session = ""
    if path.startswith("/raw/-/"):
        session = (
            place.admin.post(f"/raw/{file}").headers["location"].partition("/-/uploads/")[2][:36]
            if published
            else "none"
        )
    elif "{id}" in path:
        session = Repository(place.admin, NAME).start().rpartition("/")[2]
    return Content(image, wheel, crate, npm, file, module, session)


def seen_by(
    callers: Iterable[str], entry: dict[str, Any], name: str, places: Iterable[Place]
) -> dict[str, str]:
    """What these callers are answered; who may change something finds it as it was."""
    seen = {}
    for place in places:
        content = None
        for caller in [one for one in place.callers if one in callers]:
            content = content or prepare(place, entry, published=name == NAME)
            answer = send(place, entry, name, place.callers[caller], content)
            seen[caller] = outcome(answer, entry["route"])
            if answer.is_success and not entry["route"].startswith(("GET ", "HEAD ")):
                content = None
                place.images.clear()
    return seen


def send(
    place: Place, entry: dict[str, Any], name: str, who: Credentials | None, content: Content
) -> httpx.Response:
    """The request of an entry, by a caller, to an image or project that is there in full, or not at all."""
    method, _, path = entry["route"].partition(" ")
    image, wheel = content.image, content.wheel
    values = {
        "name": name,
        "project": wheel.project,
        "version": wheel.version,
        "filename": wheel.filename,
        "mark": wheel.sha256[:32],
        "reference": "1",
        "chunk": digest(CHUNK),
        "digest": digest(image.layers[0]) if image else "",
        "manifest": image.digest if image else "",
        "user": somebody(),
        "secret": who.secret if who else "",
        "id": content.session,
        "path": content.path,
    }
    if path.startswith(("/ui/", "/api/")):
        of_files = path.startswith(("/ui/files/", "/ui/upload/")) or "/entries" in path
        repository = "raw" if of_files else "docker"
        values |= {"repository": repository, "format": "docker", "package": name, "file": "nora.css"}
        values |= {"token": "0123456789abcdef", "job": "collect", "subject": "collection"}
    if path == ENTRIES:
        values["path"] = content.path.rpartition("/")[0]
    if path.startswith("/cargo/"):
        values |= crate_values(content.crate, path)
    if path.startswith(("/npm/", "/-/npm/")):
        values |= npm_values(content.npm, values)
    if path.startswith("/go/"):
        values |= module_values(content.module, method)
    values["reference"] = entry.get("reference", "1").format(**values)
    bodies: dict[str, Callable[[], bytes | None]] = {
        "chunk": lambda: CHUNK,
        "manifest": lambda: image.manifest if image else b"",
        "crate": content.crate.publication,
        "npm": lambda: orjson.dumps(content.npm.publication()),
        "npm-version": lambda: b'"1.0.0"',
        "module": lambda: content.module.body,
    }
    body = bodies.get(entry.get("body", ""), lambda: None)()
    headers = {} if "form" in entry or entry.get("class") == "password" else headers_of(who)
    if entry.get("body") == "manifest":
        headers["content-type"] = IMAGE
    if entry.get("body") == "wheel":
        return upload(place.http, path, wheel, headers)
    return place.http.request(
        method,
        path.replace("...}", "}").format(**values) + f"?{entry.get('query', '').format(**values)}",
        headers=headers,
        content=body,
        data=filled(entry.get("form"), values),
        json=filled(entry.get("json"), values),
    )


def crate_values(built: BuiltCrate, path: str) -> dict[str, str]:
    filename = f"{built.sha256}.crate" if path.startswith("/cargo/dl/") else built.filename
    folder = dict(zip(("first", "second"), prefix_of(built.name).split("/"), strict=True))
    return {"crate": built.name, "version": built.version, "filename": filename, **folder}


def module_values(module: Module, method: str) -> dict[str, str]:
    filename = f"{module.version}.zip"
    version = module.version if method == "DELETE" else filename
    database = {"database": "sum.example", "record": f"{module.path}@{module.version}", "tile": "8/0/000"}
    return {"module": module.path, "version": version, "filename": filename, **database}


def npm_values(built: NpmBuilt, values: Mapping[str, str]) -> dict[str, str]:
    return {
        "@package": built.name,
        "@filename": built.filename,
        "@spec": f"{built.name}@{built.version}",
        "filename": built.filename,
        "version": built.version,
        "user": f"org.couchdb.user:{values['user']}",
        "tag": "beta",
        "rev": "0-0",
        "token": "none-of-ours",
        "key": "0123456789abcdef",
        "org": "corp",
    }


def upload(
    http: httpx.Client, path: str, wheel: Built, headers: dict[str, str] | None = None
) -> httpx.Response:
    """As twine does it."""
    return http.post(
        path, headers=headers, data=wheel.form(), files={"content": (wheel.filename, wheel.body)}
    )


def filled(fields: dict[str, str] | None, values: dict[str, str]) -> dict[str, str] | None:
    return fields and {
        name: text.format(**values) if isinstance(text, str) else text for name, text in fields.items()
    }


def headers_of(who: Credentials | None) -> dict[str, str]:
    """As a Bearer token; the password of another registry as Basic."""
    if who is None or who.secret.startswith(("nra_", "ey")):
        return dict(who.bearer) if who else {}
    text = base64.b64encode(f"{somebody()}:{who.secret}".encode()).decode()
    return {"authorization": f"Basic {text}"}


def somebody() -> str:
    """A name that has not failed before, which would be locked at some time."""
    return f"somebody-{next(NUMBERS)}"


def push(place: Place, name: str, seed: str = "") -> Image:
    """An image with the tags `1` and `latest`."""
    image = place.images.get(name)
    if image is None:
        repository = Repository(place.admin, name)
        image = place.images[name] = repository.push_image("1", seed=seed)
        repository.push_manifest("latest", image.manifest)
    return image


def outcome(answer: httpx.Response, route: str) -> str:
    """`403 DENIED`; the code is OCI's, and a HEAD has none to show."""
    oci = answer.status_code >= 400 and route.split()[1].startswith("/v2/")
    if not oci or not answer.content:
        return str(answer.status_code)
    return f"{answer.status_code} {answer.json()['errors'][0]['code']}"
