"""`nora retention-apply`: the same as `nora retention apply`, as it is called elsewhere."""

from nora.cli.retention import apply as command

__all__ = ["command"]
