"""What people are shown of crates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import orjson

from nora.catalog.records import PackageFile
from nora.formats.base import Services
from nora.formats.browsing import Browse, Description, Fact, Holding, Readme, Site, Snippet
from nora.formats.cargo.hosted import README
from nora.http.send import read_small

_MARK: Final = "M8 1.5 14 4.5v7L8 14.5l-6-3v-7zM2 4.5l6 3 6-3M8 7.5v7M5 3l6 3"
_CONFIG: Final = "~/.cargo/config.toml"


def snippets(site: Site) -> Sequence[Snippet]:
    """cargo: instead of the public registry, or beside it."""
    index = f"sparse+{site.url}index/"
    named = f'[registries.nora]\nindex = "{index}"\ncredential-provider = ["cargo:token"]'
    instead = f'[source.crates-io]\nreplace-with = "nora"\n\n[source.nora]\nregistry = "{index}"'
    token = "YOUR_TOKEN" if site.needs_login else "any"
    variables = f'export CARGO_REGISTRIES_NORA_INDEX="{index}" CARGO_REGISTRIES_NORA_TOKEN={token}'
    return (
        Snippet("cargo", "set up", named if site.needs_login else instead, _CONFIG),
        Snippet("cargo", "publish", f"{variables}\ncargo publish --registry nora"),
    )


def credentials(site: Site, user: str, token: str) -> Sequence[Snippet]:
    """cargo."""
    file = "~/.cargo/credentials.toml"
    return (Snippet("cargo", "log in", f'[registries.nora]\ntoken = "{token}"', file),)


def install(site: Site, crate: str, version: str) -> Sequence[Snippet]:
    """A version of a crate."""
    return (Snippet("cargo", "install", f"cargo add {crate}@{version}"),)


async def describe(services: Services, holding: Holding, version: str) -> Description | None:
    """What was said at its publication; an index says nothing of what it is about."""
    documents = [one.document for one in holding.versions if one.name == version]
    if holding.repository.kind != "hosted" or not documents:
        return None
    document = orjson.loads(documents[0])
    said, line = document.get("about", {}), document.get("line", {})
    summary = str(said.get("description") or "")[:500]
    readme = await _readme(services, [one for one in holding.files if one.version == version])
    return Description(summary, tuple(_facts(said, line)), line.get("name", ""), readme)


async def _readme(services: Services, files: Sequence[PackageFile]) -> Readme | None:
    for one in files:
        if one.path.endswith(README):
            text = await read_small(services.blobs, services.memory, one.blob)
            return Readme(text, is_markdown=one.media_type == "text/markdown")
    return None


def _facts(said: Mapping[str, Any], line: Mapping[str, Any]) -> Iterator[Fact]:
    for label, value in (
        ("License", said.get("license")),
        ("Author", ", ".join(said.get("authors") or ())),
        ("Requires Rust", line.get("rust_version")),
        ("Keywords", ", ".join(said.get("keywords") or ())),
        ("Requires", ", ".join(f"{one['name']} {one['req']}" for one in line.get("deps", ()))),
    ):
        if value:
            yield Fact(label, str(value)[:1000])
    for label in ("homepage", "documentation", "repository"):
        if url := said.get(label):
            yield Fact(label.capitalize(), str(url)[:300], str(url))


BROWSE: Final = Browse(
    mark=_MARK,
    snippets=snippets,
    credentials=credentials,
    install=install,
    describe=describe,
    beside=(README,),
)
