"""Retention: which versions go, by the rules of the configuration and what is known of a package.

Pure: histories in, removals out. `nora.formats.retention` gathers the ones and does the others.
"""
