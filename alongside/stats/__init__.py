"""Statistics of experiments: numbers in, frozen results out; no I/O, no pandas.

Two arms: `proportions`, `means`, `adjustment` (with a covariate), `ratios` (of sums, such as clicks per message),
`quantiles`, `clusters` (households and clinics), `stratification` (within strata), `bandit` (shares that move).
Several hypotheses: `multiplicity`, `heterogeneity` (subgroups). The design: `power`, `sample_ratio`, `sequential`.
For readers: `shrinkage`. docs/statistics.md says which one a metric needs and what a database sums for it.
"""

from alongside.stats.results import Comparison, Interval, Method, RelativeDifference, Unavailable

__all__ = ["Comparison", "Interval", "Method", "RelativeDifference", "Unavailable"]
