"""Evaluating experiments: those that run, and anybody's CSV; the same result, verdict and figures for both."""

from alongside.analysis.csv_analysis import analyse_csv
from alongside.analysis.evaluation import evaluate
from alongside.analysis.result import ExperimentResult
from alongside.analysis.showing.forest import forest_svg
from alongside.analysis.showing.section import Section, section

__all__ = ["ExperimentResult", "Section", "analyse_csv", "evaluate", "forest_svg", "section"]
