"""Lines for clients to copy: one client at a time, chosen in the address."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nora.formats.browsing import Browse, Site, Snippet
    from nora.ui.visit import Visit

_plain = re.compile(r"[A-Za-z0-9@%+=:,./~_-]+").fullmatch


def tabs(visit: Visit, snippets: Sequence[Snippet]) -> dict[str, Any]:
    """The lines of the client that is chosen, and the clients to choose from."""
    clients = [*dict.fromkeys(one.client for one in snippets)]
    wanted = visit.text("client")
    client = wanted if wanted in clients else next(iter(clients), "")
    return {
        "clients": clients,
        "client": client,
        "snippets": [one for one in snippets if one.client == client],
    }


def install_lines(browse: Browse, site: Site, package: str, version: str) -> Sequence[Snippet]:
    """What installs a package. None where a name means something to a shell or a file of configuration:
    people paste what they find here."""
    if browse.install is None or not version or not (_plain(package) and _plain(version)):
        return ()
    return browse.install(site, package, version)
