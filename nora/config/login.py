"""Login to the web pages by an OpenID Connect issuer: how `[auth.oidc.login]` is read, checked and written.

[auth.oidc.login]
issuer = "https://sso.example.com/realms/acme"
client_id = "nora"
client_secret_file = "/run/secrets/nora-client"

[auth.oidc.login.roles]
registry-admins = "admin"
team-a = { role = "write", scopes = [{ name = "team-a/**" }] }
"*" = "read"
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, cast, get_args

from nora.config import kinds
from nora.config.declare import setting
from nora.config.identity import ALGORITHMS, Algorithm, read_issuer, read_scope, word, write_scopes
from nora.config.kinds import DAY, HOUR, Kind
from nora.model import Role, Scope

EVERYBODY: Final = "*"
"""In the place of a group: whoever the issuer lets in."""
CALLBACK: Final = "/ui/login/oidc/callback"
"""Where the issuer leads the browser back to, below `server.public_url`."""
LARGEST_SECRET: Final = 4096

NameClaim = Literal["preferred_username", "email", "sub"]


@dataclass(frozen=True, slots=True)
class Grant:
    """What the members of a group may do."""

    group: str
    role: Role
    scopes: tuple[Scope, ...] = ()
    """What the role is limited to; empty: not limited."""


def _read_grants(raw: object) -> tuple[Grant, ...]:
    if isinstance(raw, str):
        try:
            raw = json.loads(raw) if raw.lstrip().startswith("{") else _pairs(raw)
        except (ValueError, RecursionError):
            raise ValueError("expected { group = role }, in JSON, or group=role,…") from None
    if not isinstance(raw, dict):
        raise ValueError('expected { admins = "admin", developers = "write" }')
    return tuple(_read_grant(str(group), table) for group, table in raw.items())


def _pairs(text: str) -> dict[str, str]:
    return dict(entry.strip().rpartition("=")[::2] for entry in text.split(","))


def _read_grant(group: str, raw: object) -> Grant:
    table = {"role": raw} if isinstance(raw, str) else raw
    if not group or not group.isprintable() or not isinstance(table, dict) or not table.keys() <= _GRANT:
        raise ValueError(
            f'{group}: expected a role, or {{ role = "write", scopes = [{{ name = "team/**" }}] }}'
        )
    role = cast("Role", word(f"{group}.role", table.get("role"), get_args(Role)))
    scopes = table.get("scopes", [])
    if not isinstance(scopes, list) or ("scopes" in table and not scopes):
        raise ValueError(f'{group}.scopes: expected a list such as [{{ name = "team/**" }}]')
    if scopes and role == "admin":
        raise ValueError(f"{group}.scopes: the role admin is of the whole server; expected write or read")
    return Grant(group, role, tuple(read_scope(f"{group}.scopes", one) for one in scopes))


def _write_grants(value: object) -> object:
    return {
        one.group: {"role": one.role, "scopes": write_scopes(one.scopes)} if one.scopes else one.role
        for one in cast("tuple[Grant, ...]", value)
    }


def _read_namespace(raw: object) -> str:
    if not isinstance(raw, str) or not re.fullmatch(r"([a-z0-9]([a-z0-9._-]{0,30}[a-z0-9])?)?", raw):
        raise ValueError('expected lower-case letters, digits, and . _ - between them, or ""')
    return raw


def _read_algorithms(raw: object) -> tuple[Algorithm, ...]:
    chosen = kinds.TEXTS.read(raw)
    if not set(cast("tuple[str, ...]", chosen)) <= set(ALGORITHMS):
        raise ValueError(f"expected some of {', '.join(ALGORITHMS)}")
    return cast("tuple[Algorithm, ...]", chosen)


_GRANT = frozenset({"role", "scopes"})
_CLAIMS: Final = get_args(NameClaim)
ISSUER = Kind("URL", read_issuer)
NAMESPACE = Kind("text", _read_namespace)
GRANTS = Kind(
    "`{ group = role }`, or `group=role,…`; with scopes in JSON in the environment",
    _read_grants,
    _write_grants,
)
SIGNATURES = Kind("list of algorithms", _read_algorithms, kinds.TEXTS.write)


@dataclass(frozen=True, slots=True)
class LoginSettings:
    """Login to the web pages by an OpenID Connect issuer."""

    issuer: str | None = setting(
        None,
        ISSUER,
        "Who says who somebody is, exactly as in its discovery document. With it there is a button on the "
        "page of the login. Needs `auth.enabled` and `server.public_url`.",
    )
    client_id: str | None = setting(None, kinds.TEXT, "As what NORA is registered there.")
    client_secret_file: Path | None = setting(
        None,
        kinds.PATH,
        "File with the secret of this client, read at each login; without one it is a public client. PKCE "
        "(S256) is always used.",
    )
    scopes: tuple[str, ...] = setting(
        ("openid", "profile", "email"),
        kinds.TEXTS,
        "What is asked for; some issuers give groups only for a scope such as `groups`.",
    )
    name_claim: NameClaim = setting(
        "preferred_username",
        kinds.choice(*_CLAIMS),
        "The claim with the name of the user; an `email` must be verified.",
    )
    namespace: str = setting(
        "sso",
        NAMESPACE,
        "What stands before these names, as in `sso/alice`, so that they are nobody else's. Where it is "
        "empty, the issuer decides who is `alice` here, but for users of the htpasswd file: these never log "
        "in by it.",
    )
    groups_claim: str = setting(
        "groups", kinds.TEXT, "The claim with the groups; `realm_access.roles` is one inside another."
    )
    roles: tuple[Grant, ...] = setting(
        (),
        GRANTS,
        'What the members of a group may do, everywhere or by `{ role = "write", scopes = [{ name = '
        '"team-a/**" }] }`, which may say a `repository` as well; `*` is whoever the issuer lets in. Who is '
        "in several may do what each of them may.",
    )
    allowed_groups: tuple[str, ...] = setting(
        (), kinds.TEXTS, "Who may log in: members of one of these; without any, whoever has a role."
    )
    label: str | None = setting(None, kinds.TEXT, "The words on the button, instead of the issuer's host.")
    algorithms: tuple[Algorithm, ...] = setting(("RS256", "ES256"), SIGNATURES, "Signatures that are taken.")
    session_ttl: int = setting(
        12 * HOUR, kinds.duration(60), "How long a session lasts; the issuer is not asked again before."
    )
    token_ttl: int = setting(
        30 * DAY,
        kinds.duration(60),
        "How long a token that such a user makes lives at most: nobody tells NORA when the issuer removes "
        "them.",
    )

    def problems(self, *, asks: bool, public_url: str | None) -> Iterator[str]:
        """What keeps the login from working; `asks`: whether credentials are asked for at all."""
        if (self.issuer is None) != (self.client_id is None):
            yield "issuer and client_id: set both, or neither"
        if self.issuer is None:
            return
        if not asks:
            yield "issuer is set: set auth.enabled = true as well; NORA does not run open instead"
        if public_url is None:
            yield (
                "issuer is set: set server.public_url (NORA_PUBLIC_URL) as well, from which the redirect URI "
                f"is made, as https://nora.example.com{CALLBACK}"
            )
        if "openid" not in self.scopes:
            yield f"scopes = {list(self.scopes)}: expected openid among them"
        if not self.roles:
            yield 'roles is empty, so nobody could log in: set roles = { developers = "write", "*" = "read" }'
        try:
            self.secret()
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            yield f'client_secret_file = "{self.client_secret_file}": {reason}'

    def secret(self) -> str | None:
        """The secret of the client as it is now; None: there is none. Raises OSError, ValueError."""
        if self.client_secret_file is None:
            return None
        with open(self.client_secret_file, encoding="utf-8") as file:
            text = file.read(LARGEST_SECRET).strip()
        if not text or not text.isprintable():
            raise ValueError("expected one line of printable characters")
        return text


def redirect_uri(public_url: str) -> str:
    """What has to be registered at the issuer."""
    return public_url + CALLBACK
