"""What the start and `nora check-config` say of the files that access rests on."""

from __future__ import annotations

from pathlib import Path

import bcrypt
import pytest

from nora.auth.risks import risks_of_files
from nora.config import Config
from nora.formats import load_config

STRONG = f"$2y$12${'.' * 53}"
WEAK = f"$2y$05${'.' * 53}"


def risks(directory: Path, users: str | None = None, **environ: str) -> list[str]:
    if users is not None:
        (directory / "users.htpasswd").write_text(users)
    config: Config = load_config({"NORA_AUTH_ENABLED": "true", **environ}, directory)
    return list(risks_of_files(config))


def test_good_files_are_no_risk(tmp_path: Path) -> None:
    (tmp_path / "data/storage").mkdir(parents=True, mode=0o700)
    (tmp_path / "data/storage").chmod(0o700)
    assert risks(tmp_path, f"admin:{STRONG}\n") == []


def test_users_do_not_matter_while_nobody_is_asked(tmp_path: Path) -> None:
    assert list(risks_of_files(load_config({}, tmp_path))) == []


@pytest.mark.parametrize(
    ("users", "told"),
    [
        (None, "there is no such file"),
        ("", "has no users"),
        ("# nobody\n", "has no users"),
        ("admin:plain\n", "line 1 is ignored: its hash is not bcrypt"),
    ],
)
def test_a_file_without_users_is_told(tmp_path: Path, users: str | None, told: str) -> None:
    found = "\n".join(risks(tmp_path, users))
    assert f"{tmp_path}/users.htpasswd" in found
    assert told in found
    assert "nora user add" in found


def test_a_folder_in_the_place_of_the_file_is_told(tmp_path: Path) -> None:
    """What docker makes of a mount whose source is not there."""
    (tmp_path / "users.htpasswd").mkdir()
    (found,) = risks(tmp_path)
    assert "Is a directory" in found


def test_administrators_who_are_not_in_the_file_are_told(tmp_path: Path) -> None:
    (found,) = risks(tmp_path, f"root:{STRONG}\n", NORA_AUTH_ADMIN_USERS="root,toor")
    assert "auth.admin_users has toor" in found


def test_a_file_without_an_administrator_is_told(tmp_path: Path) -> None:
    (found,) = risks(tmp_path, f"alice:{STRONG}\n")
    assert "nobody in" in found
    assert "auth.admin_users" in found
    assert risks(tmp_path, f"alice:{STRONG}\n", NORA_AUTH_ROLES="alice=admin") == []


def test_weak_hashes_are_told(tmp_path: Path) -> None:
    (found,) = risks(tmp_path, f"admin:{STRONG}\nbob:{WEAK}\n")
    assert "bob" in found
    assert "admin" not in found
    assert "nora user passwd" in found
    many = "".join(f"user{number:03}:{WEAK}\n" for number in range(100))
    (found,) = risks(tmp_path, f"admin:{STRONG}\n{many}")
    assert "100 users" in found
    assert len(found) < 400


def test_the_hash_that_htpasswd_makes_by_itself_is_weak(tmp_path: Path) -> None:
    hashed = bcrypt.hashpw(b"x", bcrypt.gensalt(5)).decode()
    (found,) = risks(tmp_path, f"admin:{hashed}\n")
    assert "htpasswd -C 12" in found


def test_a_data_directory_that_others_can_read_is_told(tmp_path: Path) -> None:
    storage = tmp_path / "data/storage"
    storage.mkdir(parents=True)
    for mode, told in ((0o700, False), (0o750, False), (0o2770, False), (0o755, True), (0o701, True)):
        storage.chmod(mode)
        found = list(risks_of_files(load_config({}, tmp_path)))
        assert bool(found) is told, oct(mode)
        assert all("chmod o-rwx" in line and str(storage) in line for line in found)
