"""What people are shown of packages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import orjson

from nora.catalog.records import PackageFile
from nora.formats.base import Services
from nora.formats.browsing import Browse, Description, Fact, Holding, Readme, Site, Snippet
from nora.formats.npm.hosted import README, SIGSTORE
from nora.http.send import read_small

LARGEST_README: Final = 256 << 10
_MARK: Final = "M2 4h12v7H8v2H5v-2H2zM5 11V6.5h3M8 11V4M11 6.5V11"


def snippets(site: Site) -> Sequence[Snippet]:
    """npm, pnpm, yarn and bun."""
    token = "YOUR_TOKEN" if site.needs_login else "any"
    npmrc = f"registry={site.url}\n//{site.address}:_authToken={token}"
    return (
        Snippet("npm", "set up", npmrc, ".npmrc"),
        Snippet("npm", "install", f"npm install --registry {site.url} react"),
        Snippet("npm", "publish", f"npm publish --registry {site.url}"),
        Snippet("pnpm", "set up", npmrc, ".npmrc"),
        Snippet("pnpm", "publish", f"pnpm publish --registry {site.url}"),
        Snippet("yarn", "set up", _yarnrc(site, token), ".yarnrc.yml"),
        Snippet("bun", "set up", f'[install]\nregistry = "{site.url}"', "bunfig.toml"),
    )


def _yarnrc(site: Site, token: str) -> str:
    lines = [f'npmRegistryServer: "{site.url}"', f'npmAuthToken: "{token}"']
    if not site.is_tls:
        lines.append(f'unsafeHttpWhitelist: ["{site.host.partition(":")[0]}"]')
    return "\n".join(lines)


def credentials(site: Site, user: str, token: str) -> Sequence[Snippet]:
    """npm, pnpm and bun read `.npmrc`."""
    return (
        Snippet(
            "npm, pnpm", "log in", f"registry={site.url}\n//{site.address}:_authToken={token}", "~/.npmrc"
        ),
        Snippet("yarn", "log in", _yarnrc(site, token), ".yarnrc.yml"),
    )


def install(site: Site, package: str, version: str) -> Sequence[Snippet]:
    """A version of a package."""
    wanted = f"{package}@{version}"
    return (
        Snippet("npm", "install", f"npm install --registry {site.url} {wanted}"),
        Snippet("pnpm", "install", f"pnpm add --registry {site.url} {wanted}"),
        Snippet("yarn", "install", f"yarn add {wanted}"),
        Snippet("bun", "install", f"bun add {wanted}"),
    )


async def describe(services: Services, holding: Holding, version: str) -> Description | None:
    """What its manifest says."""
    manifest = _manifest(holding, version)
    if manifest is None:
        return None
    files = [one for one in holding.files if one.version == version]
    return Description(
        _text(manifest.get("description"))[:500],
        tuple(_facts(manifest)),
        readme=await _readme(services, files),
        proofs=tuple(_proofs(manifest, files)),
    )


async def _readme(services: Services, files: Sequence[PackageFile]) -> Readme | None:
    for one in files:
        if one.path.endswith(README) and one.blob.size <= LARGEST_README:
            return Readme(await read_small(services.blobs, services.memory, one.blob), is_markdown=True)
    return None


def _proofs(manifest: Mapping[str, Any], files: Sequence[PackageFile]) -> Iterator[Fact]:
    if any(one.path.endswith(SIGSTORE) for one in files):
        yield Fact("Provenance", "Sigstore")
    dist = manifest.get("dist")
    said = dist if isinstance(dist, dict) else {}
    signatures = said.get("signatures")
    for one in signatures[:5] if isinstance(signatures, list) else ():
        if isinstance(one, dict) and (key := _text(one.get("keyid"))):
            yield Fact("Signed with the key", key[:200])
    attestations = said.get("attestations")
    if isinstance(attestations, dict) and (url := _text(attestations.get("url"))):
        yield Fact("Attestations", url[:300], url)
    if integrity := _text(said.get("integrity")):
        yield Fact("Integrity", integrity[:200])


def _manifest(holding: Holding, version: str) -> Mapping[str, Any] | None:
    """Of what was published in the row of the version, of what came from an upstream in that of its
    tarball."""
    if holding.repository.kind == "hosted":
        documents = [one.document for one in holding.versions if one.name == version]
        found = orjson.loads(documents[0]) if documents else None
    else:
        documents = [one.document for one in holding.files if one.version == version]
        found = orjson.loads(documents[0]).get("manifest") if documents else None
    return found if isinstance(found, dict) else None


def _facts(manifest: Mapping[str, Any]) -> Iterator[Fact]:
    for label, name in (("License", "license"), ("Author", "author")):
        value = manifest.get(name)
        if text := _text(value.get("name") if isinstance(value, dict) else value):
            yield Fact(label, text[:300])
    engines = manifest.get("engines")
    if isinstance(engines, dict) and (node := _text(engines.get("node"))):
        yield Fact("Requires Node.js", node[:100])
    needed = manifest.get("dependencies")
    if isinstance(needed, dict) and needed:
        yield Fact("Requires", ", ".join(f"{name} {wanted}" for name, wanted in needed.items())[:1000])
    if url := _text(manifest.get("homepage")):
        yield Fact("Homepage", url[:300], url)
    repository = manifest.get("repository")
    url = _text(repository.get("url") if isinstance(repository, dict) else repository)
    if url := url.removeprefix("git+").removesuffix(".git"):
        yield Fact("Repository", url[:300], url)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


BROWSE: Final = Browse(
    mark=_MARK,
    snippets=snippets,
    credentials=credentials,
    install=install,
    describe=describe,
    beside=(README, SIGSTORE),
)
