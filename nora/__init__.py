"""NORA: an artifact registry behind one port."""

__version__ = "0.1.0.dev0"
