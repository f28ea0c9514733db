"""What groups give to who logs in by an issuer, and when that ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nora.auth.grounds import Grounds
from nora.auth.htpasswd import Htpasswd
from nora.auth.login_rights import LoginRights
from nora.auth.tokens import Tokens
from nora.catalog.sqlite import SQLiteCatalog
from nora.config.login import GRANTS, LoginSettings
from nora.errors import BadRequest
from nora.model import Scope
from tests.support.catalogs import prepare_catalog
from tests.support.tables import each

DAY = 86_400
TEAM = {"role": "write", "scopes": [{"repository": "raw", "name": "team/**"}]}
READERS = {"role": "read", "scopes": [{"repository": "npm"}]}
ROLES = {"admins": "admin", "writers": "write", "readers": "read", "team": TEAM, "some": READERS}
EVERYWHERE = Scope(actions=frozenset({"read"}))
IN_TEAM = Scope("raw", "team/**", frozenset({"read", "write"}))
IN_NPM = Scope("npm", "**", frozenset({"read"}))


def rights(**changes: Any) -> LoginRights:
    said = {"issuer": "https://sso.example.com", "client_id": "nora", "roles": ROLES, **changes}
    return LoginRights(LoginSettings(**{**said, "roles": GRANTS.read(said["roles"])}))


@each(
    ("groups", "role", "scopes"),
    [
        (["writers"], "write", ()),
        (["readers", "admins"], "admin", ()),
        (["team", "writers"], "write", ()),
        (["team"], "write", (IN_TEAM,)),
        (["team", "readers"], "write", (EVERYWHERE, IN_TEAM)),
        (["some"], "read", (IN_NPM,)),
        (["team", "some"], "write", (IN_TEAM, IN_NPM)),
        (["unknown"], None, ()),
        ([], None, ()),
    ],
)
def test_groups_give_their_sum(groups: list[str], role: str | None, scopes: tuple[Scope, ...]) -> None:
    found = rights().of_groups(groups)
    assert (found and found.role) == role
    assert found is None or set(found.scopes) == set(scopes)


def test_everybody_may_be_a_group_and_some_be_asked_for() -> None:
    known = rights(roles={"*": "read"}, allowed_groups=("staff", "a,b:c"))
    assert known.of_groups(["writers"]) is None
    found = known.of_groups(["a,b:c"])
    assert found is not None
    assert known.of_ground(found.ground) == found


@each(
    "changes",
    [
        {"issuer": None},
        {"issuer": "https://other.example.com"},
        {"client_id": "other"},
        {"namespace": "corp"},
        {"name_claim": "sub"},
        {"roles": {**ROLES, "writers": "read"}},
        {"roles": {"readers": "read"}},
        {"roles": {**ROLES, "*": "admin"}},
        {"allowed_groups": ("staff",)},
    ],
)
def test_a_ground_ends_with_what_it_stood_for(changes: dict[str, Any]) -> None:
    found = rights().of_groups(["writers"])
    assert found is not None
    assert rights(roles={**ROLES, "new": "admin"}).of_ground(found.ground) == found
    assert rights(**changes).of_ground(found.ground) is None
    assert rights().of_ground("login:x:writers") is None
    assert rights().of_ground("login:") is None


@pytest.mark.anyio
async def test_a_token_ends_with_the_right_and_after_some_time(tmp_path: Path) -> None:
    path, known = tmp_path / "catalog.sqlite3", rights(token_ttl=7 * DAY)
    prepare_catalog(path)
    accounts, found = Htpasswd(tmp_path / "users"), known.of_groups(["writers"])
    assert found is not None
    catalog = SQLiteCatalog.open(path)
    try:

        def tokens(logins: LoginRights) -> Tokens:
            return Tokens(catalog, grounds=Grounds(accounts, lambda name: "write", (), logins))

        for seconds in (None, 7 * DAY + 1):
            with pytest.raises(BadRequest, match="at most 7d"):
                await tokens(known).create("sso/a", "read", ttl_seconds=seconds, grounds=(found.ground,))
        text, _ = await tokens(known).create("sso/a", "read", ttl_seconds=7 * DAY, grounds=(found.ground,))
        assert await tokens(known).verify(text)
        assert await tokens(rights(roles={"admins": "admin"})).verify(text) is None
    finally:
        await catalog.close()
