"""What people can do to modules that they look at (nora.formats.operations)."""

from __future__ import annotations

from nora.formats.base import Services
from nora.formats.go.releases import RULES
from nora.formats.operations import Operation
from nora.formats.release_operations import release_operations


def operations(services: Services) -> tuple[Operation, ...]:
    """See nora.formats.base.Format."""
    return release_operations(services, RULES)
