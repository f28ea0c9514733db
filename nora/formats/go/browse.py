"""What people are shown of modules."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from nora.formats.base import Services
from nora.formats.browsing import Browse, Description, Fact, Holding, Site, Snippet, netrc

LARGEST_MOD: Final = 64 << 10

_MARK: Final = "M1.5 6h3M1 8h3M2 10h2M9.5 6a3 3 0 1 0 0 4V8H8M14.5 8a1.8 2.6 0 1 0-3.6 0 1.8 2.6 0 1 0 3.6 0"

_go = re.compile(r"^go[ \t]+([0-9][\w.]*)", re.MULTILINE).findall
_requirement = re.compile(r"^(?:require)?[ \t]+([\w.~/-]+\.[\w.~/-]+)[ \t]+(v\S+)(.*)$", re.MULTILINE).findall


def snippets(site: Site) -> Sequence[Snippet]:
    """The go command."""
    proxy = site.url.rstrip("/")
    return (
        Snippet("go", "set up", f"go env -w GOPROXY={proxy}"),
        Snippet("go", "install", f"GOPROXY={proxy} go get golang.org/x/text@latest"),
        Snippet("nora", "publish", f"nora go publish v1.0.0 --url {site.root}"),
    )


def credentials(site: Site, user: str, token: str) -> Sequence[Snippet]:
    """The go command, which looks for the port as well."""
    return (netrc("go", site.host, user, token),)


def install(site: Site, module: str, version: str) -> Sequence[Snippet]:
    """A version of a module."""
    return (Snippet("go", "install", f"GOPROXY={site.url.rstrip('/')} go get {module}@{version}"),)


async def describe(services: Services, holding: Holding, version: str) -> Description | None:
    """The hash of its zip, and what its go.mod says, if both are here."""
    files = {one.path.rpartition(".")[2]: one.blob for one in holding.files if one.version == version}
    facts = []
    if "ziphash" in files:
        facts.append(Fact("Hash in go.sum", (await services.blobs.read(files["ziphash"])).decode()))
    if "mod" in files and files["mod"].size <= LARGEST_MOD:
        needs = _needs((await services.blobs.read(files["mod"])).decode("utf-8", "replace"))
        facts += [Fact(label, text[:1000]) for label, text in needs if text]
    return Description(facts=tuple(facts)) if facts else None


def _needs(go_mod: str) -> tuple[tuple[str, str], ...]:
    """What a go.mod requires, but for what others require already."""
    needed = [f"{path} {version}" for path, version, more in _requirement(go_mod) if "indirect" not in more]
    return ("Requires Go", "".join(_go(go_mod)[:1])), ("Requires", ", ".join(needed))


BROWSE: Final = Browse(
    mark=_MARK,
    snippets=snippets,
    credentials=credentials,
    install=install,
    describe=describe,
    beside=(".ziphash",),
)
