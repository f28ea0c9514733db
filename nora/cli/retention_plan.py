"""`nora retention-plan`: the same as `nora retention plan`, as it is called elsewhere."""

from nora.cli.retention import plan as command

__all__ = ["command"]
