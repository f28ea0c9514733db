"""What people can do to crates that they look at (nora.formats.operations)."""

from __future__ import annotations

from nora.auth.authorizer import Authorizer
from nora.formats.base import Services
from nora.formats.cargo.owners import Owners
from nora.formats.cargo.releases import RULES
from nora.formats.operations import Operation
from nora.formats.release_operations import release_operations


def operations(services: Services) -> tuple[Operation, ...]:
    """See nora.formats.base.Format."""
    owners = Owners(services, Authorizer(services.authenticator, services.access))
    return release_operations(services, RULES, owners.check)
