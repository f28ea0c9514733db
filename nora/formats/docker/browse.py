"""What people are shown of images: their tags, the platforms and layers of each, and how clients use them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import orjson

from nora._speedups import is_digest
from nora.catalog.records import File
from nora.errors import Blocked
from nora.formats.base import Services
from nora.formats.browsing import Browse, Contents, Fact, Part, Site, Snippet, Tagged
from nora.formats.docker.documents import INDEX_TYPES, read_descriptor
from nora.formats.docker.upstream import Descriptor
from nora.http.send import read_small
from nora.model import Digest, Repository

LARGEST: Final = 1 << 20
"""Bytes of a manifest or a config that is read on the event loop."""
MOST_PARTS: Final = 200
_MARK: Final = "M2 8h3v3H2zM6 8h3v3H6zM10 8h3v3h-3zM6 4h3v3H6zM1.5 13c3 1.5 9 1.5 11.5-2"
_ATTESTATION: Final = "attestation-manifest"
_OF_CONFIG: Final = (
    ("Entry point", "Entrypoint"),
    ("Command", "Cmd"),
    ("Working directory", "WorkingDir"),
    ("User", "User"),
    ("Ports", "ExposedPorts"),
)
_COSIGN: Final = {"sig": "signature", "att": "attestation", "sbom": "bill of materials"}
_KINDS: Final = {
    "application/vnd.dev.cosign.artifact.sig.v1+json": "signature",
    "application/vnd.cncf.notary.signature": "signature",
    "application/vnd.dev.sigstore.bundle.v0.3+json": "attestation",
    "application/vnd.in-toto+json": "attestation",
    "application/spdx+json": "bill of materials",
    "application/vnd.cyclonedx+json": "bill of materials",
}
"""Types that are known, by the words for them."""


def snippets(site: Site) -> Sequence[Snippet]:
    """docker, podman and helm."""
    image = f"{site.host}/{site.prefix}team/app:1"
    charts = f"oci://{site.host}/{site.prefix}charts"
    plain = "" if site.is_tls else " --plain-http"
    insecure = "" if site.is_tls else " --tls-verify=false"
    found = [
        Snippet("docker", "publish", f"docker tag app:1 {image}\ndocker push {image}"),
        Snippet("docker", "download", f"docker pull {image}"),
        Snippet("podman", "publish", f"podman push{insecure} app:1 {image}"),
        Snippet("podman", "download", f"podman pull{insecure} {image}"),
        Snippet(
            "helm",
            "publish",
            f"helm create hello\nhelm package hello\nhelm push{plain} hello-0.1.0.tgz {charts}",
        ),
        Snippet("helm", "download", f"helm pull{plain} {charts}/hello --version 0.1.0"),
    ]
    if site.needs_login:
        logins = {"docker": f"docker login {site.host}", "podman": f"podman login{insecure} {site.host}"}
        logins["helm"] = f"helm registry login{plain} {site.host}"
        found += [Snippet(client, "log in", text) for client, text in logins.items()]
    return found


def credentials(site: Site, user: str, token: str) -> Sequence[Snippet]:
    """By a pipe: a token among the arguments of a program is seen by all who are on the machine."""
    plain = "" if site.is_tls else " --plain-http"
    insecure = "" if site.is_tls else " --tls-verify=false"
    return [
        Snippet(client, "log in", f"echo {token} | {command} {site.host} -u {user} --password-stdin")
        for client, command in (
            ("docker", "docker login"),
            ("podman", f"podman login{insecure}"),
            ("helm", f"helm registry login{plain}"),
        )
    ]


def install(site: Site, image: str, reference: str) -> Sequence[Snippet]:
    """By tag or by digest."""
    full = f"{site.host}/{site.prefix}{image}{'@' if ':' in reference else ':'}{reference}"
    insecure = "" if site.is_tls else " --tls-verify=false"
    plain = "" if site.is_tls else " --plain-http"
    return (
        Snippet("docker", "download", f"docker pull {full}"),
        Snippet("podman", "download", f"podman pull{insecure} {full}"),
        Snippet("oras", "download", f"oras pull{plain} {full}"),
    )


async def tags(
    services: Services, repository: Repository, image: str, after: str, limit: int
) -> Sequence[Tagged]:
    """Of a source these are the tags that somebody has asked for."""
    catalog = services.catalog
    found = []
    if repository.kind == "hosted":
        for tag in await catalog.list_tags(repository.id, image, after, limit):
            try:
                file = await catalog.find_tagged_file(repository.id, image, tag)
            except Blocked:
                continue
            if file is not None and file.version is not None:
                found.append(Tagged(tag, file.version))
        return found
    for entry in await catalog.list_directory(repository.id, f"{image}/tags", after, limit):
        cached = await catalog.find_cached(repository.id, f"{image}/tags/{entry.name}")
        if cached is not None:
            found.append(Tagged(entry.name, Descriptor.decode(cached.document).digest))
    return found


async def contents(services: Services, repository: Repository, image: str, version: str) -> Contents | None:
    """Of an index its platforms, of an image its layers."""
    manifest = await _manifest(services, repository, image, version)
    if manifest is None:
        return None
    file, body = manifest
    if file.media_type in INDEX_TYPES:
        return await _index(services, repository, image, body)
    return await _image(services, repository, image, file, body)


async def _index(services: Services, repository: Repository, image: str, body: Mapping[str, Any]) -> Contents:
    parts, platforms, size = [], [], 0
    for child in _descriptors(body.get("manifests")):
        found = await _manifest(services, repository, image, child["digest"])
        held = 0 if found is None else child["size"] + sum(one["size"] for one in _layers(found[1]))
        platform = _platform(child.get("platform"))
        is_about = child.get("annotations", {}).get("vnd.docker.reference.type") == _ATTESTATION
        if platform and not is_about:
            platforms.append(platform)
        size += held
        kind = "attestation" if is_about else "image"
        parts.append(
            Part(child["digest"], kind, held or child["size"], platform, child["digest"] if found else "")
        )
    return Contents("index", size, tuple(dict.fromkeys(platforms)), tuple(parts), tuple(_facts(body)))


async def _image(
    services: Services, repository: Repository, image: str, file: File, body: Mapping[str, Any]
) -> Contents:
    config = await _config(services, repository, image, body)
    platform = _platform(config)
    made = [
        one.get("created_by")
        for one in config.get("history") or ()
        if isinstance(one, dict) and not one.get("empty_layer")
    ]
    layers = list(_descriptors(body.get("layers")))
    if len(made) != len(layers):
        made = [None] * len(layers)
    parts = [
        Part(layer["digest"], "layer", layer["size"], _title(layer, by))
        for layer, by in zip(layers, made, strict=True)
    ]
    history = tuple(
        _command(str(one.get("created_by") or one.get("comment") or ""))
        for one in (config.get("history") or ())[:MOST_PARTS]
        if isinstance(one, dict)
    )
    described = read_descriptor(body.get("config"))
    kind = body.get("artifactType") or (described or {}).get("mediaType", "")
    facts = [Fact("Type", str(kind)[:200])] if kind and not platform else []
    size = file.blob.size + sum(one["size"] for one in _layers(body))
    facts = [*facts, *_config_facts(config), *_facts(body)]
    return Contents("image", size, (platform,) if platform else (), tuple(parts), tuple(facts), history)


async def _manifest(
    services: Services, repository: Repository, image: str, version: str
) -> tuple[File, Mapping[str, Any]] | None:
    """A manifest that is here, and small enough to be looked into."""
    if not is_digest(version):
        return None
    try:
        file = await services.catalog.find_file(repository.id, f"{image}/manifests/{version}")
    except Blocked:
        return None
    if file is None or file.blob.size > LARGEST:
        return None
    return file, _object(await read_small(services.blobs, services.memory, file.blob))


async def _config(
    services: Services, repository: Repository, image: str, body: Mapping[str, Any]
) -> Mapping[str, Any]:
    """What an image says of itself; nothing where it is not here."""
    described = read_descriptor(body.get("config"))
    if described is None or described["size"] > LARGEST:
        return {}
    blob = await services.catalog.find_linked_blob(repository.id, image, Digest(described["digest"]))
    if blob is None or blob.size > LARGEST:
        return {}
    return _object(await read_small(services.blobs, services.memory, blob))


def _object(data: bytes) -> Mapping[str, Any]:
    try:
        found = orjson.loads(data)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _descriptors(entries: object) -> Iterator[dict[str, Any]]:
    """Those that are some, up to a number that a page can show."""
    for entry in entries[:MOST_PARTS] if isinstance(entries, list) else ():
        if (found := read_descriptor(entry)) is not None:
            yield found


def _layers(body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """What is fetched for an image beside its manifest."""
    config = read_descriptor(body.get("config"))
    yield from () if config is None else (config,)
    yield from _descriptors(body.get("layers"))


def _platform(said: object) -> str:
    """`linux/arm64/v8`, of a descriptor or a config; empty where none is said."""
    if not isinstance(said, dict):
        return ""
    parts = [said.get(name) for name in ("os", "architecture", "variant")]
    if not all(isinstance(one, str) and one for one in parts[:2]) or "unknown" in parts:
        return ""
    return "/".join(one for one in parts if isinstance(one, str) and one)[:64]


def _title(layer: Mapping[str, Any], made_by: object) -> str:
    """The name of a file that a layer is, or the command that made it."""
    title = layer.get("annotations", {}).get("org.opencontainers.image.title")
    text = title if isinstance(title, str) else made_by if isinstance(made_by, str) else ""
    return _command(text)


def _command(text: str) -> str:
    return text.removeprefix("/bin/sh -c ").removeprefix("#(nop) ").strip()[:300]


def _config_facts(config: Mapping[str, Any]) -> Iterator[Fact]:
    """What an image says of how it is run. Its environment is left out: some have secrets in it."""
    if isinstance(created := config.get("created"), str):
        yield Fact("Created", created[:40])
    run = config.get("config")
    for label, name in _OF_CONFIG:
        value = run.get(name) if isinstance(run, dict) else None
        if isinstance(value, list):
            value = orjson.dumps(value).decode()
        elif isinstance(value, dict):
            value = ", ".join(map(str, value))
        if isinstance(value, str) and value:
            yield Fact(label, value[:300])


async def referrers(services: Services, repository: Repository, image: str, version: str) -> Sequence[Part]:
    """By the referrers API, and under the tags that cosign sets where a registry has none."""
    catalog, found = services.catalog, []
    rows, _ = await catalog.list_versions_about(
        repository.id, image, version, None, "", limit=MOST_PARTS, max_bytes=LARGEST
    )
    hidden = catalog.blocks().hidden(repository.id, image)
    for one in rows:
        if hidden is None or not hidden.has(one.version):
            kind = (one.kind or one.media_type)[:200]
            found.append(Part(one.version, _KINDS.get(kind, kind), one.size, version=one.version))
    for end, kind in _COSIGN.items():
        tag = f"{version.replace(':', '-')}.{end}"
        try:
            file = await catalog.find_tagged_file(repository.id, image, tag)
        except Blocked:
            continue
        if file is not None and file.version is not None:
            found.append(Part(file.version, kind, file.blob.size, tag, file.version))
    return found


def _facts(body: Mapping[str, Any]) -> Iterator[Fact]:
    annotations = body.get("annotations")
    for name, text in list(annotations.items())[:20] if isinstance(annotations, dict) else ():
        if isinstance(text, str):
            yield Fact(name, text[:300], text if text.startswith("http") else "")


BROWSE: Final = Browse(
    mark=_MARK,
    snippets=snippets,
    credentials=credentials,
    install=install,
    tags=tags,
    contents=contents,
    referrers=referrers,
)
