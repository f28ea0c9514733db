"""What is risky about the files that access rests on: those of users, and the data directory. For the start
and `nora check-config`, which tell it beside what the configuration alone says."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator
from typing import Final

from nora.auth.htpasswd import LARGEST_FILE, Account, parse_accounts
from nora.config import Config

WEAK_COST: Final = 10
"""Below it a bcrypt hash is guessed too fast. htpasswd takes 5 unless it is told otherwise."""
GOOD_COST: Final = 12
_SHOWN: Final = 5


def risks_of_files(config: Config) -> Iterator[str]:
    """What an operator should know before others find out, a line each."""
    if config.auth.enabled:
        yield from _risks_of_users(config)
    yield from _risks_of_data(config)


def _risks_of_users(config: Config) -> Iterator[str]:
    path = config.auth.htpasswd_file
    try:
        with path.open(encoding="utf-8", errors="surrogateescape") as file:
            accounts, ignored, _ = parse_accounts(file.read(LARGEST_FILE))
    except FileNotFoundError:
        yield f"{path}: there is no such file (auth.htpasswd_file), so nobody has a password: nora user add"
        return
    except OSError as error:
        yield f"{path} (auth.htpasswd_file) cannot be read: {error.strerror}, so nobody has a password"
        return
    yield from (f"{path}: {line}" for line in ignored[:_SHOWN])
    if not accounts:
        yield f"{path} has no users (auth.htpasswd_file), so nobody has a password: nora user add"
        return
    yield from _risks_of_administrators(config, accounts)
    yield from _risks_of_hashes(config, accounts.values())


def _risks_of_administrators(config: Config, accounts: Collection[str]) -> Iterator[str]:
    auth = config.auth
    if not any(auth.role_of(name) == "admin" for name in accounts):
        yield (
            f"nobody in {auth.htpasswd_file} is an administrator: auth.admin_users is "
            f"{', '.join(auth.admin_users) or 'empty'}"
        )
    elif "auth.admin_users" in config.origins:
        for name in auth.admin_users:
            if name not in accounts:
                yield f"auth.admin_users has {name}, who is not in {auth.htpasswd_file}"


def _risks_of_hashes(config: Config, accounts: Collection[Account]) -> Iterator[str]:
    weak = [one.name for one in accounts if one.cost < WEAK_COST]
    if weak:
        shown = ", ".join(weak[:_SHOWN]) + (", …" if len(weak) > _SHOWN else "")
        yield (
            f"{config.auth.htpasswd_file}: the hashes of {len(weak)} users ({shown}) have a bcrypt cost "
            f"below {WEAK_COST}, which is guessed fast: nora user passwd <name>, or htpasswd -C {GOOD_COST}"
        )


def _risks_of_data(config: Config) -> Iterator[str]:
    path = config.storage.path
    try:
        mode = path.stat().st_mode
    except OSError:
        return  # there is none yet, and the start makes it for its own user alone
    if os.name == "posix" and mode & stat.S_IRWXO:
        yield f"{path} (storage.path) is open to every user of this machine: chmod o-rwx {path}"
