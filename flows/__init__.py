"""Runs: what happens, in what order, on which schedule, for an operator to watch and retry."""
