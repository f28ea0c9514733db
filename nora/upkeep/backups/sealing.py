"""Secrets in a backup: sealed by a passphrase, with what `cryptography` has for that, and nothing of our own.

The key is made of the passphrase by scrypt (RFC 7914), and seals by Fernet (AES-128-CBC, HMAC-SHA256).
"""

from __future__ import annotations

import os
from base64 import b64decode, b64encode, urlsafe_b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import orjson

from nora.errors import BadRequest
from nora.upkeep.backups.manifest import SECRETS, BackupFailed, json_document

SHORTEST: Final = 12
"""Characters of a passphrase."""
_SCRYPT: Final = {"n": 1 << 16, "r": 8, "p": 1}
_MOST: Final = {"n": 1 << 20, "r": 16, "p": 4}
"""What an archive may ask for: a hostile one would take the memory of the machine."""


class Passphrase:
    """What seals."""

    def __init__(self, text: str) -> None:
        """Raises BadRequest when it is too short."""
        if len(text) < SHORTEST:
            raise BadRequest(f"the passphrase has {len(text)} characters: at least {SHORTEST} are needed")
        self._text = text.encode()

    @classmethod
    def read(cls, path: Path) -> Passphrase:
        """That of a file, without the end of its line. Raises BadRequest."""
        try:
            return cls(path.read_text("utf-8").rstrip("\r\n"))
        except (OSError, UnicodeDecodeError) as error:
            raise BadRequest(f"the passphrase file {path} cannot be read: {error}") from error

    def seal(self, secrets: Mapping[str, Any]) -> bytes:
        """The member with these."""
        from cryptography.fernet import Fernet

        salt = os.urandom(16)
        sealed = Fernet(self._key(salt, _SCRYPT)).encrypt(orjson.dumps(secrets, default=_as_text))
        return orjson.dumps({"scrypt": _SCRYPT, "salt": b64encode(salt).decode(), "fernet": sealed.decode()})

    def unseal(self, data: bytes) -> dict[str, Any]:
        """What was sealed. Raises BackupFailed."""
        from cryptography.fernet import Fernet, InvalidToken

        found = json_document(data, SECRETS)
        try:
            costs = {name: int(found["scrypt"][name]) for name in _SCRYPT}
            if any(not 1 <= costs[name] <= most for name, most in _MOST.items()):
                raise BackupFailed(f"{SECRETS} asks for more memory than a backup of NORA does")
            key = self._key(b64decode(found["salt"]), costs)
            opened: dict[str, Any] = orjson.loads(Fernet(key).decrypt(str(found["fernet"]).encode()))
        except (InvalidToken, KeyError, TypeError, ValueError) as error:
            raise BackupFailed(f"the passphrase does not open {SECRETS}, or that is damaged") from error
        return opened

    def _key(self, salt: bytes, costs: Mapping[str, int]) -> bytes:
        from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

        kdf = Scrypt(salt=salt, length=32, n=costs["n"], r=costs["r"], p=costs["p"])
        return urlsafe_b64encode(kdf.derive(self._text))


def as_bytes(value: Any) -> Any:
    """A value of a row as it was, see `_as_text`."""
    return b64decode(value["base64"]) if isinstance(value, dict) else value


def _as_text(value: object) -> object:
    if isinstance(value, bytes):
        return {"base64": b64encode(value).decode()}
    raise TypeError
