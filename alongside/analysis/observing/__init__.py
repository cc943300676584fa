"""What the stores say about an experiment, as sums: SQL and what it brings; no statistics."""
