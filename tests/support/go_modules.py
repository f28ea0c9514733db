"""A module proxy with its modules, on an `Upstream`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

import orjson

from nora.formats.go.archive import go_mod_hash
from nora.formats.go.names import escape
from nora.formats.go.samples import module_zip
from tests.support.answers import Answer, Asked, document
from tests.support.upstream import Upstream

TIME = "2024-05-06T07:08:09Z"


@dataclass(frozen=True)
class Module:
    """A version of a module, with a package of one function in its root."""

    path: str
    version: str = "v1.0.0"
    requires: Mapping[str, str] = field(default_factory=dict)
    text: str = "hello"
    """What the function `Text` returns."""
    more: Mapping[str, str | bytes] = field(default_factory=dict)
    """Files beside."""

    @property
    def go_mod(self) -> bytes:
        needs = "".join(f"require {path} {version}\n" for path, version in self.requires.items())
        return f"module {self.path}\n\ngo 1.21\n{needs}".encode()

    @property
    def package(self) -> str:
        """What the package in its root is called."""
        parts = [part for part in self.path.split("/") if not (part[0] == "v" and part[1:].isdigit())]
        return parts[-1].partition(".")[0].replace("-", "").lower()

    @property
    def files(self) -> dict[str, str | bytes]:
        source = f'package {self.package}\n\nfunc Text() string {{ return "{self.text}" }}\n'
        return {"go.mod": self.go_mod, "lib.go": source, **self.more}

    @property
    def body(self) -> bytes:
        """The zip."""
        return module_zip(self.path, self.version, self.files)

    @property
    def info(self) -> bytes:
        return orjson.dumps({"Version": self.version, "Time": TIME})

    @property
    def go_mod_h1(self) -> str:
        return go_mod_hash(self.go_mod)

    def url(self, kind: str) -> str:
        """The path of a file of it, in any repository of this protocol."""
        return f"{escape(self.path)}/@v/{escape(self.version)}.{kind}"


@dataclass(slots=True)
class ModuleProxy:
    """What it has may be changed at any time."""

    prefix: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    """By path, unescaped: `example.com/Lib/@v/v1.0.0.zip`."""
    lists: dict[str, list[str]] = field(default_factory=dict)
    """Versions by module."""

    def add(self, module: Module, *, listed: bool = True, body: bytes | None = None) -> Module:
        """Have a version; without `listed` as one that a commit stands for."""
        there = self.lists.setdefault(module.path, [])
        if listed and module.version not in there:
            there.append(module.version)
        kinds = {"info": module.info, "mod": module.go_mod, "zip": module.body if body is None else body}
        for kind, content in kinds.items():
            self.files[f"{module.path}/@v/{module.version}.{kind}"] = content
        return module

    def query(self, path: str, query: str, version: str) -> None:
        """Let a branch, or `latest`, be a version."""
        where = "@latest" if query == "latest" else f"@v/{query}.info"
        self.files[f"{path}/{where}"] = orjson.dumps({"Version": version, "Time": TIME})

    def mount(self, upstream: Upstream) -> None:
        """Serve it below `prefix`."""
        upstream.mount(f"{self.prefix}/", self)

    def __call__(self, asked: Asked) -> Answer | None:
        """What is at a path. What is not escaped as it should be is not there."""
        path = unquote(asked.path.removeprefix(f"{self.prefix}/"))
        module, slash, rest = path.partition("/@v/list")
        if slash and not rest:
            known = next((versions for name, versions in self.lists.items() if escape(name) == module), None)
            body = None if known is None else "".join(f"{one}\n" for one in known).encode()
        else:
            body = next((body for name, body in self.files.items() if escape(name) == path), None)
        return None if body is None else document(body, "text/plain; charset=utf-8")
