"""What an operator sees of a running NORA: metrics and logs."""
