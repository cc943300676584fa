"""What holds of every comparison, whatever made it."""

from __future__ import annotations

from alongside.stats import Comparison


def assert_intervals_agree_with_p(result: Comparison) -> None:
    """Both intervals leave out zero exactly when p is below .05; nothing is asked of a p on the edge, or of none."""
    if result.p_value is None or abs(result.p_value - 0.05) < 1e-6:
        return
    significant = result.p_value < 0.05
    assert result.interval.holds(0.0) != significant
    if result.relative.reason is None:
        assert result.relative.interval.holds(0.0) != significant
