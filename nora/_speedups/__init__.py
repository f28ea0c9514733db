"""The compiled parts of NORA and their pure Python twins."""
