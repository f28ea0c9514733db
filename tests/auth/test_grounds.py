"""What tokens end with: the account, the role or the token that they were made from."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

from nora.auth.grounds import Grounds, covers, of_maker
from nora.auth.htpasswd import Htpasswd, parse_accounts, remove_account, set_account
from nora.auth.passwords import hash_password
from nora.auth.tokens import LONGEST_CHAIN, Tokens
from nora.catalog.sqlite import SQLiteCatalog
from nora.model import Principal, Scope
from tests.support.catalogs import prepare_catalog

pytestmark = pytest.mark.anyio
HASH = hash_password("x", 4)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class House:
    tokens: Tokens
    users: Path
    roles: dict[str, str]
    clock: Clock

    def later(self, seconds: float = 1.0) -> None:
        self.clock.now += seconds


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """`root` is an administrator, `alice` and `bob` may write; the roles may change."""
    path, users, clock = tmp_path / "catalog.sqlite3", tmp_path / "users", Clock()
    prepare_catalog(path)
    users.write_text("".join(f"{name}:{HASH}\n" for name in ("root", "alice", "bob")))
    roles = {"root": "admin"}
    grounds = Grounds(Htpasswd(users, clock), cast("Any", lambda name: roles.get(name, "write")), ["ci"])
    catalog = SQLiteCatalog.open(path)
    yield House(Tokens(catalog, clock, grounds), users, roles, clock)
    await catalog.close()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_tokens_of_a_removed_user_end_within_a_second(house: House) -> None:
    alices, _ = await house.tokens.create("alice", "write")
    bobs, _ = await house.tokens.create("bob", "write")
    remove_account(house.users, "alice")
    house.later()
    assert await house.tokens.verify(alices) is None
    assert await house.tokens.verify(bobs) is not None


async def test_tokens_of_the_last_user_end_within_a_second(house: House) -> None:
    text, _ = await house.tokens.create("alice", "write")
    for name in ("alice", "bob", "root"):
        remove_account(house.users, name)
    house.later(0.5)
    await house.tokens.verify(text)
    house.later(0.5)
    assert await house.tokens.verify(text) is None


async def test_a_new_password_ends_no_token(house: House) -> None:
    text, _ = await house.tokens.create("alice", "write")
    set_account(house.users, "alice", hash_password("other", 4), exists=True)
    house.later()
    assert await house.tokens.verify(text) is not None


async def test_a_token_of_who_has_no_account_stays(house: House) -> None:
    text, _ = await house.tokens.create("robot", "admin")
    house.users.unlink()
    house.later()
    assert await house.tokens.verify(text) is not None


async def test_what_rests_on_administration_ends_with_it(house: House) -> None:
    admins, _ = await house.tokens.create("root", "admin")
    deleting, _ = await house.tokens.create("root", "write", scopes=(Scope(actions=frozenset({"delete"})),))
    writing, _ = await house.tokens.create("root", "write")
    house.roles.clear()
    assert await house.tokens.verify(admins) is None
    assert await house.tokens.verify(deleting) is None
    assert await house.tokens.verify(writing) is not None


async def test_what_an_operator_gave_beyond_the_role_stays(house: House) -> None:
    text, _ = await house.tokens.create("alice", "admin")
    assert await house.tokens.verify(text) is not None
    house.roles["alice"] = "read"
    assert await house.tokens.verify(text) is None


async def test_a_token_for_another_rests_on_its_maker(house: House) -> None:
    root = Principal("root", "password", "admin", parent="user:root:0")
    text, _ = await house.tokens.create("robot", "read", grounds=of_maker(root, "admin"))
    assert await house.tokens.verify(text) is not None
    house.roles.clear()
    assert await house.tokens.verify(text) is None


async def test_a_token_made_by_a_token_ends_with_it(house: House) -> None:
    text, made = "", None
    chain = []
    for _ in range(3):
        maker = Principal("robot", "token", "admin", parent=f"token:{made.id}" if made else "")
        text, made = await house.tokens.create("robot", "admin", grounds=of_maker(maker, "admin"))
        chain.append(made)
    assert await house.tokens.verify(text) is not None
    await house.tokens.revoke(chain[0].id)
    assert await house.tokens.verify(text) is None
    assert not await house.tokens.is_valid(chain[1].id)


async def test_a_chain_of_tokens_is_bounded(house: House) -> None:
    made = None
    for number in range(LONGEST_CHAIN + 2):
        grounds = (f"token:{made.id}",) if made else ()
        text, made = await house.tokens.create("robot", "admin", grounds=grounds)
        assert (await house.tokens.verify(text) is not None) is (number <= LONGEST_CHAIN), number


async def test_a_provider_that_is_switched_off_ends_what_rests_on_it(house: House) -> None:
    workload = Principal("ci:x", "oidc", "admin", parent="oidc:ci")
    text, _ = await house.tokens.create("robot", "read", grounds=of_maker(workload, "admin"))
    assert await house.tokens.verify(text) is not None
    text, _ = await house.tokens.create("robot", "read", grounds=("oidc:gone",))
    assert await house.tokens.verify(text) is None


async def test_names_may_hold_what_grounds_are_written_with(house: House) -> None:
    house.users.write_text(f"a user\u00e9:{HASH}\n")
    house.later()
    text, made = await house.tokens.create("a user\u00e9", "write")
    assert made.grounds == ("user:write:a user\u00e9",)
    assert await house.tokens.verify(text) is not None
    assert parse_accounts(f"a:b:{HASH}\n")[0] == {}  # a name has no colon


def test_a_role_covers_itself_and_the_lesser_ones() -> None:
    roles = ("read", "write", "admin")
    assert [[covers(one, other) for other in roles] for one in roles] == [
        [True, False, False],
        [True, True, False],
        [True, True, True],
    ]


async def test_a_rotated_token_rests_on_what_the_old_one_did(house: House) -> None:
    _, made = await house.tokens.create("root", "admin")
    text, rotated = await house.tokens.rotate(made.id)
    assert rotated.grounds == made.grounds == ("user:admin:root",)
    house.roles.clear()
    assert await house.tokens.verify(text) is None
