"""Data quality: Great Expectations suites on staging, quarantine, failed fields, scorecards."""

from alongside.quality.results import CheckResult, QualityReport, Scorecard
from alongside.quality.suites import Suite, check, load_suites

__all__ = ["CheckResult", "QualityReport", "Scorecard", "Suite", "check", "load_suites", "validate"]


def __getattr__(name: str) -> object:
    """`validate` costs seconds of imports (Great Expectations): paid only by those who call it."""
    if name == "validate":
        from alongside.quality.validation import validate

        return validate
    raise AttributeError(name)
