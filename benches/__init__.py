"""Benchmarks: what NORA costs, beside what its rivals cost, on the machine they run on."""
