"""What people can do to files that they look at (nora.formats.operations)."""

from __future__ import annotations

from collections.abc import Callable

from nora.auth.authorizer import Authorizer
from nora.config import Config
from nora.formats.base import Services
from nora.formats.file_operations import file_operations
from nora.formats.file_uploads import FileUploads
from nora.formats.operations import Operation
from nora.formats.raw.names import FilePath
from nora.formats.raw.routes import MOUNT
from nora.formats.raw.settings import RawSettings
from nora.formats.removal import Removal
from nora.formats.replacing import ReplaceRules
from nora.formats.uploading import Upload, file_upload
from nora.model import Repository


def upload(services: Services) -> Upload:
    """See nora.formats.base.Format."""
    settings = services.settings(RawSettings)
    rules = ReplaceRules(services.config, "raw", settings.overwrite)
    return file_upload(FileUploads(services, MOUNT, rules, settings.max_file_size), FilePath.of)


def is_for_good(config: Config, hosted: Repository) -> Callable[[str], bool]:
    """See nora.formats.base.Aging."""
    never = ReplaceRules(config, "raw", config.of_format(RawSettings).overwrite).never(hosted)
    return lambda _: never


def operations(services: Services) -> tuple[Operation, ...]:
    """See nora.formats.base.Format."""
    authorizer = Authorizer(services.authenticator, services.access)
    rules = ReplaceRules(services.config, "raw", services.settings(RawSettings).overwrite)
    return file_operations(services, Removal(services, authorizer, rules), FilePath.of)
