"""Measurements against baselines in the same run: `python -m benchmarks --size 10k`. See benchmarks/RESULTS.md."""
