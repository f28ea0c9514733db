"""The `nora` command."""
