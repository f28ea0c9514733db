"""What must not be shown: how values are made fit for messages, logs and `nora check-config`."""

from __future__ import annotations

import re

HIDDEN = "***"

_NAMES = re.compile(
    r"secret|password|passwd|token|credential|(^|[._])auth$|(^|[._])(access_|private_|api_)?key$", re.I
)
# Of a URL everything up to the last @: a password may have some itself, and spaces, quotes, slashes. Nothing
# behind the bar of `url|user:password` is shown.
_USER = re.compile(r"(://|:).*@", re.DOTALL)
_AFTER_BAR = re.compile(r"\|.*", re.DOTALL)
_SECRET_TABLES = frozenset({"headers"})
"""Tables of which every value may be a secret."""


def hide(key: str, value: object) -> object:
    """`value` without its secrets: all of it when `key` names one, else what its texts carry."""
    if isinstance(value, dict):
        if key in _SECRET_TABLES:
            return dict.fromkeys(value, HIDDEN)
        return {_without_credentials(str(name)): hide(str(name), entry) for name, entry in value.items()}
    if value is None or isinstance(value, bool | int | float):
        return value
    if is_secret(key):
        return HIDDEN
    if isinstance(value, list | tuple):
        return [hide(key, entry) for entry in value]
    return _without_credentials(str(value))


def _without_credentials(text: str) -> str:
    return _USER.sub(rf"\1{HIDDEN}@", _AFTER_BAR.sub(f"|{HIDDEN}", text))


def is_secret(key: str) -> bool:
    """Whether a setting's name says that its value is a secret. Paths and switches are not."""
    lowered = key.lower()
    if lowered.endswith(("_storage", "_ttl", "tls_key", "_file", "_path")):
        return False
    return _NAMES.search(lowered) is not None
