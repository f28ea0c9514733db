"""What go asks for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import httpx
import orjson

from tests.support.go_modules import Module, ModuleProxy
from tests.trust.table import FAILED, NOBODY, OURS, Case, Role, Table, What

if TYPE_CHECKING:
    from tests.trust.sites import Site

Modules = tuple[Module, ...]
LATER = "v1.9.0"


def name_of(segments: Sequence[str]) -> str:
    for end in ("@v", "@latest"):
        if end in segments:
            return "/".join(segments[1 : segments.index(end)])
    return ""


def stock(site: Site, name: str, role: Role) -> Modules:
    versions = ("v1.0.0", LATER) if role == "second" else ("v1.0.0",)
    made = tuple(Module(name, version, text=site.name) for version in versions)
    store = site.stores["go"]
    for one in made:
        store.add(one)
        store.files[f"{name}/@v/{one.version}.info"] = info(one)
    store.files[f"{name}/@v/main.info"] = info(made[0])
    return made


def info(module: Module) -> bytes:
    return orjson.dumps({"Version": module.version, "Origin": {"URL": module.text}})


def publish(case: Case) -> Modules:
    ours = Module(case.name, text=OURS)
    answer = case.http.put(case.at("/{name}/@v/v1.0.0.zip"), content=ours.body)
    assert answer.status_code == 201, answer.text
    return (ours,)


def lists(modules: Modules, answer: httpx.Response) -> bool:
    return answer.text.split() == [one.version for one in modules]


def is_zip(modules: Modules, answer: httpx.Response) -> bool:
    return answer.content in [one.body for one in modules]


def is_info(modules: Modules, answer: httpx.Response) -> bool:
    told = answer.json()
    if modules[0].text == OURS:
        return "Origin" not in told
    return answer.content in [info(one) for one in modules]


ZIP = What(path="/{name}/@v/v1.0.0.zip", fits=is_zip)
TABLE = Table(
    format="go",
    store=lambda: ModuleProxy(prefix="/modules"),
    roots=("modules",),
    name_of=name_of,
    upstream="/modules",
    base="{mount}/go",
    spelling="{kind}.example/m{number}",
    pattern="{kind}.example/**",
    settings='sumdb = "off"',
    stock=stock,
    publish=publish,
    warm=("/{name}/@v/list",),
    whats={
        "list": What(path="/{name}/@v/list", fits=lists, kept=("first",)),
        "zip": ZIP,
        "info": What(path="/{name}/@v/v1.0.0.info", fits=is_info),
        "later zip": What(
            path=f"/{{name}}/@v/{LATER}.zip", fits=is_zip, owners=("second",), kept=(NOBODY, FAILED)
        ),
        "latest": What(path="/{name}/@latest", fits=is_info, kept=(FAILED,)),
        "branch": What(path="/{name}/@v/main.info", fits=is_info, owners=("first", "second", "partner")),
        "zip alone": ZIP.alone("v1.0.0.zip", "unknown", "pinned first"),
    },
)
