"""NORA beside other registries: the same content, the same load, one machine, alternating rounds.

``python -m benches.registries`` runs it; ``benches/README.md`` explains the rules.
"""
