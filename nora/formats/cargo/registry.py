"""What cargo reads of the registry itself, and of a crate in its index."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

import orjson
from blacksheep import Content, Response

from nora.auth.authorizer import Authorizer
from nora.errors import BadRequest, PackageNotFound
from nora.formats.base import Services
from nora.formats.cargo.index import Part, parts_file
from nora.formats.cargo.resource import Resource
from nora.formats.cargo.sources import Finder, absent
from nora.http.encodings import Encoding, compress
from nora.proxy.answers import NO_CACHE, kept_while
from nora.proxy.offload import offload

INDEX: Final = "/cargo/index/"
_DL: Final = "{crate}/{version}/{sha256-checksum}.crate"
_HTML: Final = b"text/html; charset=utf-8"


class Registry:
    """The endpoints of `config.json`, of index files, and of `/cargo/me`."""

    def __init__(self, services: Services, authorizer: Authorizer, finder: Finder) -> None:
        self._authorizer = authorizer
        self._finder = finder
        self._resolver = services.resolver
        self._render_cache = services.render_cache

    async def config(self, resource: Resource) -> Response:
        """GET and HEAD of `config.json`: every cargo begins with it."""
        base = _base(resource)
        config: dict[str, object] = {"dl": f"{base}/dl/{_DL}", "api": base}
        if not self._authorizer.is_public(resource.repository):
            config["auth-required"] = True
        return Response(200, [NO_CACHE], Content(b"application/json", orjson.dumps(config)))

    async def file(self, resource: Resource) -> Response:
        """GET and HEAD of the index file of a crate, at its one path."""
        crate, target = resource.crate, resource.target
        path = target.pattern.format(**target.values).removeprefix(INDEX)
        if path != crate.index_path or target.is_directory:
            raise absent(crate)
        stamp = self._resolver.stamp(resource.repository, crate) if resource.may_be_kept else None
        sources = await self._finder.find(resource.repository, crate, exactly=True)
        resource.keep_while(kept_while(sources.documents, stamp))

        async def make(encoding: Encoding) -> bytes:
            parts = await self._finder.parts(crate, sources)
            weight = sum(one.weight for one in parts)
            return await offload(make_file, encoding.value, parts, weight=weight)

        return await self._render_cache.variant(
            resource,
            ("index", crate.indexed, sources.key),
            make,
            media_type="text/plain; charset=utf-8",
            headers=sources.headers(public=self._authorizer.is_public(resource.repository)),
        )

    async def me(self, resource: Resource) -> Response:
        """GET and HEAD of the page that `cargo login` sends people to."""
        page = login_page(_base(resource), resource.target.repository)
        return Response(200, [NO_CACHE], Content(_HTML, page.encode()))


def make_file(encoding: str, parts: Sequence[Part]) -> bytes:
    """A variant of an index file. It may run in another process. Raises PackageNotFound when nothing is
    left."""
    file = parts_file(parts)
    if not file:
        raise PackageNotFound("nothing of the crate is here")
    return compress(file, Encoding(encoding))


def login_page(base: str, repository: str | None) -> str:
    """How to get a token, for people; `repository`: a named one."""
    index, name = escape(f"sparse+{base}/index/"), escape(repository or "nora")
    return f"""<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>cargo login</title></head>
<body>
<h1>Log in to {index}</h1>
<p>Ask who runs this registry for a token, or make one:</p>
<pre>nora token create --user NAME --role write --scope '{escape(repository or "cargo")}:*:read,write'</pre>
<p>Then, with the registry in <code>.cargo/config.toml</code>:</p>
<pre>[registries.{name}]
index = "{index}"
credential-provider = ["cargo:token"]</pre>
<p>say <code>cargo login --registry {name}</code> and paste the token.</p>
</body>
</html>
"""


def _base(resource: Resource) -> str:
    """Where the registry is. Raises BadRequest where that cannot be told: cargo wants whole addresses."""
    base = resource.base_url
    if not base:
        raise BadRequest("cargo needs to be told the address of this server: set NORA_PUBLIC_URL")
    return f"{base}/cargo"
