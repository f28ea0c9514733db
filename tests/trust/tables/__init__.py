"""The tables of all formats that have upstreams, each in a module here."""

from importlib import import_module
from pkgutil import iter_modules

from tests.trust.table import Table

TABLES: tuple[Table, ...] = tuple(
    import_module(f"{__name__}.{one.name}").TABLE for one in iter_modules(__path__)
)
