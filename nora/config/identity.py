"""Providers of workload identity: how `[[auth.oidc.providers]]` is read, checked and written.

    [[auth.oidc.providers]]
    name = "github"
    issuer = "https://token.actions.githubusercontent.com"
    audience = "nora.example.com"

    [[auth.oidc.providers.role_rules]]
    claims = { repository = "acme/app", ref = ["refs/heads/main", "refs/tags/*"] }
    role = "write"
    namespace_scope = ["acme/**"]

In the environment the same is a list in JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Any, Literal, cast, get_args
from urllib.parse import urlsplit

from nora.config import kinds
from nora.config.declare import setting
from nora.config.kinds import HOUR, LOOPBACK_HOSTS, OPTIONAL_URL, Kind, parse_duration
from nora.errors import quoted
from nora.model import ACTIONS, Action, Role, Scope

Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"]
"""Signatures of public keys only (RFC 7518, 3.1): a shared secret, or no signature, proves nothing here."""
ALGORITHMS: tuple[Algorithm, ...] = get_args(Algorithm)
Enforcement = Literal["enforce", "audit"]

Pattern = str
"""`*` is anything, every other character is itself."""
ClaimPatterns = tuple[tuple[tuple[str, ...], tuple[Pattern, ...]], ...]
"""Where a claim is (its name; names, when it is in others), and what it may be."""


@dataclass(frozen=True, slots=True)
class RoleRule:
    """Whom a rule is for - all of its conditions must hold - and what they may do."""

    role: Role
    pattern: Pattern | None = None
    """What `sub` must be."""
    claims: ClaimPatterns = ()
    namespace_scope: tuple[str, ...] | None = None
    """Names that may be written, `x/*` one segment, `x/**` any depth; None: as the provider."""
    scopes: tuple[Scope, ...] = ()
    """Instead of `namespace_scope`: what may be read, written and deleted, and where."""


@dataclass(frozen=True, slots=True)
class OidcProvider:
    """An issuer whose tokens are taken."""

    name: str
    issuer: str
    """Exactly as in the claim `iss`."""
    audience: tuple[str, ...]
    """The claim `aud` must be, or have, one of these."""
    role_rules: tuple[RoleRule, ...]
    jwks_uri: str | None = None
    """Where its keys are; None: its discovery document says it."""
    algorithms: tuple[Algorithm, ...] = ("RS256", "ES256")
    max_token_lifetime_secs: int = 900
    namespace_scope: tuple[str, ...] = ("**",)
    namespace_scope_enforcement: Enforcement = "enforce"
    enabled: bool = True


def narrowed(pattern: str, outer: tuple[str, ...]) -> tuple[str, ...]:
    """What `pattern` matches that one of `outer` matches too, for patterns of `nora.model.Scope`.

    Only of patterns of which one lies within the other: two that merely overlap have nothing in common here.
    """
    if any(_within(pattern, other) for other in outer):
        return (pattern,)
    return tuple(other for other in outer if _within(other, pattern))


def _within(inner: str, outer: str) -> bool:
    """Whether all that `inner` matches, `outer` matches: its wildcards read as characters that only wildcards
    of the same or a larger reach match."""
    symbols = re.sub(r"\*{2,}", "\x02", inner).replace("*", "\x01")
    parts = re.split(r"(\*+)", outer)
    reach = "".join(
        ".*" if part.startswith("**") else "[^/\x02]*" if part == "*" else re.escape(part) for part in parts
    )
    return re.fullmatch(reach, symbols, re.DOTALL) is not None


# -- reading ----------------------------------------------------------------------------------------------

_PROVIDER = frozenset(one.name for one in fields(OidcProvider))
_RULE = frozenset(one.name for one in fields(RoleRule))
_SCOPE = frozenset({"repository", "name", "actions"})


def _read_providers(raw: object) -> tuple[OidcProvider, ...]:
    if isinstance(raw, str):
        try:
            raw = json.loads(raw)
        except (ValueError, RecursionError):
            raise ValueError("expected a list of providers in JSON") from None
    if not isinstance(raw, list):
        raise ValueError("expected tables such as [[auth.oidc.providers]]")
    providers = tuple(_read_provider(f"provider {number}", table) for number, table in enumerate(raw, 1))
    for what, values in (
        ("name", [one.name for one in providers]),
        ("issuer", [one.issuer for one in providers if one.enabled]),
    ):
        twice = next((value for value in values if values.count(value) > 1), None)
        if twice is not None:
            raise ValueError(f"two providers have the {what} {twice}; expected each once")
    return providers


def _read_provider(label: str, table: object) -> OidcProvider:
    table = _checked(label, table, _PROVIDER, ("name", "issuer", "audience", "role_rules"))
    name = table["name"]
    if not isinstance(name, str) or not re.fullmatch(r"[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?", name):
        raise ValueError(f"{label}.name: expected lower-case letters, digits, and . _ - between them")
    label = name
    rules = table["role_rules"]
    if not isinstance(rules, list) or not rules:
        raise ValueError(f"{label}.role_rules: expected at least one rule; without one nobody is let in")
    provider = OidcProvider(
        name=name,
        issuer=_secure_url(f"{label}.issuer", table["issuer"]),
        audience=_texts(f"{label}.audience", table["audience"]),
        role_rules=tuple(
            _read_rule(f"{label}.role_rules, rule {number}", rule) for number, rule in enumerate(rules, 1)
        ),
        jwks_uri=_secure_url(f"{label}.jwks_uri", table["jwks_uri"]) if table.get("jwks_uri") else None,
        algorithms=cast(
            "tuple[Algorithm, ...]",
            words(f"{label}.algorithms", table.get("algorithms", ["RS256", "ES256"]), ALGORITHMS),
        ),
        max_token_lifetime_secs=_seconds(
            f"{label}.max_token_lifetime_secs", table.get("max_token_lifetime_secs", 900)
        ),
        namespace_scope=_namespaces(f"{label}.namespace_scope", table.get("namespace_scope", ["*"])),
        namespace_scope_enforcement=cast(
            "Enforcement",
            word(
                f"{label}.namespace_scope_enforcement",
                table.get("namespace_scope_enforcement", "enforce"),
                get_args(Enforcement),
            ),
        ),
        enabled=_flag(f"{label}.enabled", table.get("enabled", True)),
    )
    _check_scopes(provider)
    return provider


def _check_scopes(provider: OidcProvider) -> None:
    """What a rule allows beyond its provider could never be used: a mistake that someone should see."""
    for number, rule in enumerate(provider.role_rules, 1):
        scopes = [scope.name for scope in rule.scopes if scope.actions != {"read"}]
        for name in (*(rule.namespace_scope or ()), *scopes):
            if not narrowed(name, provider.namespace_scope):
                raise ValueError(
                    f"{provider.name}.role_rules, rule {number}: {name} lies outside of what is expected, "
                    f"the provider's namespace_scope {', '.join(provider.namespace_scope)}"
                )


def _read_rule(label: str, table: object) -> RoleRule:
    table = _checked(label, table, _RULE, ("role",))
    pattern = table.get("pattern")
    if pattern is not None and (not isinstance(pattern, str) or not pattern):
        raise ValueError(f'{label}.pattern: expected what `sub` must be, such as "repo:acme/*"')
    claims = tuple(_read_claims(f"{label}.claims", table.get("claims", {})))
    if pattern is None and not claims:
        raise ValueError(f"{label}: expected a pattern or claims; without a condition it is for everybody")
    scopes = table.get("scopes", [])
    if not isinstance(scopes, list) or ("scopes" in table and (not scopes or "namespace_scope" in table)):
        raise ValueError(f"{label}.scopes: expected a list of tables, and no namespace_scope beside it")
    return RoleRule(
        role=cast("Role", word(f"{label}.role", table["role"], get_args(Role))),
        pattern=pattern,
        claims=claims,
        namespace_scope=_namespaces(f"{label}.namespace_scope", table["namespace_scope"])
        if "namespace_scope" in table
        else None,
        scopes=tuple(read_scope(f"{label}.scopes", scope) for scope in scopes),
    )


def _read_claims(
    label: str, table: object, above: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], tuple[Pattern, ...]]]:
    if not isinstance(table, dict) or len(above) > 8 or (above and not table):
        raise ValueError(f'{label}: expected a table such as {{ repository = "acme/app" }}')
    for name, value in table.items():
        path = (*above, name)
        if isinstance(value, dict):
            yield from _read_claims(f"{label}.{name}", value, path)
        else:
            yield path, _texts(f"{label}.{name}", value)


def read_scope(label: str, table: object) -> Scope:
    """A part of the registry and what is allowed there. Raises ValueError."""
    table = _checked(label, table, _SCOPE, ())
    for name in ("repository", "name"):
        if not isinstance(table.get(name, "**"), str) or not table.get(name, "**"):
            raise ValueError(f"{label}.{name}: expected a pattern")
    actions = [action for action in ACTIONS if action != "admin"]
    return Scope(
        table.get("repository", "**"),
        table.get("name", "**"),
        frozenset(
            cast(
                "tuple[Action, ...]",
                words(f"{label}.actions", table.get("actions", ["read", "write"]), tuple(actions)),
            )
        ),
    )


def _checked(
    label: str, table: object, known: frozenset[str], required: tuple[str, ...]
) -> Mapping[str, Any]:
    if not isinstance(table, dict):
        raise ValueError(f"{label}: expected a table")
    for name in table:
        if name not in known:
            near = get_close_matches(str(name), known, n=1)
            hint = f"expected {near[0]}?" if near else f"expected one of {', '.join(sorted(known))}"
            raise ValueError(f"{label}.{quoted(name)}: there is no such setting; {hint}")
    for name in required:
        if not table.get(name):
            raise ValueError(f"{label}.{name} is missing; expected {', '.join(required)}")
    return table


def _secure_url(label: str, raw: object) -> str:
    try:
        return read_issuer(raw)
    except ValueError as error:
        raise ValueError(f"{label}: {error}") from None


def read_issuer(raw: object) -> str:
    """As it is written, a slash at the end included: an issuer is compared exactly. Raises ValueError."""
    OPTIONAL_URL.read(raw)
    parts = urlsplit(str(raw))
    if parts.scheme != "https" and parts.hostname not in LOOPBACK_HOSTS:
        raise ValueError("expected https (http is for the loopback only)")
    return str(raw)


def _texts(label: str, raw: object) -> tuple[str, ...]:
    entries = raw if isinstance(raw, list) else [raw]
    entries = [str(one).lower() if isinstance(one, bool | int) else one for one in entries]
    if not entries or not all(isinstance(one, str) and one.strip() for one in entries):
        raise ValueError(f"{label}: expected a text, or a list of texts")
    return tuple(entries)


def _namespaces(label: str, raw: object) -> tuple[str, ...]:
    """`*` alone is everything, whatever its depth."""
    return tuple("**" if one == "*" else one for one in _texts(label, raw))


def words(label: str, raw: object, known: tuple[str, ...]) -> tuple[str, ...]:
    """Some of the words that are known. Raises ValueError."""
    return tuple(dict.fromkeys(word(label, one, known) for one in _texts(label, raw)))


def word(label: str, raw: object, known: tuple[str, ...]) -> str:
    """One of the words that are known. Raises ValueError."""
    if raw not in known:
        raise ValueError(f"{label} = {quoted(raw)!r}: expected one of {', '.join(known)}")
    return str(raw)


def _flag(label: str, raw: object) -> bool:
    if not isinstance(raw, bool):
        raise ValueError(f"{label}: expected true or false")
    return raw


def _seconds(label: str, raw: object) -> int:
    try:
        return parse_duration(raw)
    except ValueError as error:
        raise ValueError(f"{label}: {error}") from None


# -- writing ----------------------------------------------------------------------------------------------


def _write_providers(value: object) -> object:
    return [_write(one) for one in cast("tuple[OidcProvider, ...]", value)]


def _write(record: Any) -> dict[str, object]:
    """A record as the table that makes it; what is not set is left out."""
    written: dict[str, object] = {}
    for name in (one.name for one in fields(record) if one.name != "enforced"):
        value = getattr(record, name)
        if name == "claims":
            value = _write_claims(value)
        elif name in ("role_rules", "scopes"):
            value = [_write(one) for one in value]
        elif isinstance(value, frozenset):
            value = sorted(value)
        elif isinstance(value, tuple):
            value = [*value]
        if value is not None and value not in ([], {}):
            written[name] = value
    return written


def write_scopes(scopes: tuple[Scope, ...]) -> list[object]:
    """As `read_scope` reads them."""
    return [_write(one) for one in scopes]


def _write_claims(claims: ClaimPatterns) -> dict[str, object]:
    table: dict[str, Any] = {}
    for path, patterns in claims:
        inner = table
        for name in path[:-1]:
            inner = inner.setdefault(name, {})
        inner[path[-1]] = [*patterns]
    return table


PROVIDERS = Kind("list of providers; in the environment in JSON", _read_providers, _write_providers)


# -- the section ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OidcSettings:
    """Workload identity: tokens of CI systems instead of stored secrets."""

    enabled: bool = setting(False, kinds.BOOLEAN, "Take tokens of the providers. Needs `auth.enabled`.")
    leeway_secs: int = setting(60, kinds.duration(), "How far the clocks of issuers may be off.")
    jwks_cache_secs: int = setting(
        HOUR, kinds.duration(1), "How long an issuer's keys are used before they are asked for again."
    )
    providers: tuple[OidcProvider, ...] = setting((), PROVIDERS, "Whose tokens are taken, and for what.")

    @property
    def active(self) -> tuple[OidcProvider, ...]:
        """The providers that are switched on."""
        return tuple(one for one in self.providers if one.enabled) if self.enabled else ()
