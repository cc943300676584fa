"""From sums to comparisons, evidence and a verdict: pure, on a handful of numbers."""
