"""Statistics of experiments: numbers in, frozen results out; no I/O, no pandas.

`proportions` and `means` compare two arms, `adjustment` does so with a covariate, `sample_ratio` checks the arms'
sizes, `multiplicity` adjusts for several hypotheses, `power` plans, `sequential` gives boundaries for repeated looks.
"""

from alongside.stats.results import Comparison, Interval, Method, RelativeDifference, Unavailable

__all__ = ["Comparison", "Interval", "Method", "RelativeDifference", "Unavailable"]
