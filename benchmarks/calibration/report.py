"""The figures as a page: docs/calibration.md with two pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from alongside.analysis.showing.svg import BAD, FAINT, GOOD, GRID, NEUTRAL, drawing, line, text
from benchmarks.calibration.cells import Figure

_TITLES = {
    "false claims": "A difference is claimed although there is none",
    "coverage": "The interval at the end holds the truth",
    "power": "Power with daily looks, as a share of one look at the end",
    "people used": "People known when the experiment ends, as a share of all that were planned",
    "sample ratio": "Alarm about the arms' sizes",
    "harm": "A variant is stopped for harm",
    "clusters": "A difference is claimed between households or clinics although there is none",
    "strata": "A difference is claimed within parts of the people",
    "bandit": "A difference is claimed although there is none, with shares that follow the results",
    "bias": "Mean error of the difference, with shares that follow the results",
}
_NOTES = {
    "false claims": "Looked at every day for four weeks, with a level of 5 %. *Usual*: a 5 % test made every day as if"
    " it were the only one.",
    "coverage": "Of 95 % intervals, taken where each experiment ended: at its first claim, or on the planned day.",
    "power": "Both on the same simulated people.",
    "people used": "How early an effect ends the experiment. Nothing is promised here.",
    "sample ratio": "Level .001, looked at every day. *Usual*: a chi-squared test every day. The last line is a real"
    " mismatch: there an alarm is right.",
    "harm": "Level 5 %, looked at every day, for one guardrail. The last line is real harm: there stopping is right.",
    "clusters": "One look, at a level of 5 %. *Usual*: as if the people were independent of each other.",
    "strata": "One look, at a level of 5 %. *Usual*: without looking at the parts. The last line is a real difference:"
    " there a claim is right.",
    "bandit": "One look at the end, at a level of 5 %. *Usual*: the test of plain totals.",
    "bias": "In units of a rate, its sign left off. *Usual*: of plain totals.",
}


def write(figures: Sequence[Figure], page: Path, made: str) -> None:
    """The page, and its pictures in the folder `images` beside it.

    Parameters
    ----------
    made : with which versions, when, and how many runs
    """
    images = page.parent / "images"
    images.mkdir(exist_ok=True)
    (images / "calibration-false-claims.svg").write_text(_false_claims(figures), "utf-8")
    (images / "calibration-coverage.svg").write_text(_coverage(figures), "utf-8")
    page.write_text("\n".join([*_head(figures, made), *_tables(figures)]) + "\n", "utf-8")


def _head(figures: Sequence[Figure], made: str) -> list[str]:
    held = [figure for figure in figures if figure.least is not None or figure.most is not None]
    kept = sum(figure.kept for figure in held)
    return [
        "# Calibration",
        "",
        "Does the engine keep its promises? Experiments are simulated whose truth is known, by the thousand, and judged"
        " by the code that judges the hospital's own (`alongside.stats`, and the intervals of `alongside.analysis`).",
        "`make calibrate` repeats all of it and writes this page; a short version is a test of every change.",
        "",
        f"{made}: **{kept} of {len(held)} promises kept** (a share may miss its bound by two of its standard errors).",
        "",
        "![False claims under daily looks](images/calibration-false-claims.svg)",
        "",
        "![Coverage of the interval](images/calibration-coverage.svg)",
        "",
        "What is refused rather than promised: a mean or count as goal with arms more unequal than 2 : 1 (with amounts"
        " that are zero for most and large for a few, Welch's test claims too much there).",
        "",
    ]


def _tables(figures: Sequence[Figure]) -> list[str]:
    lines: list[str] = []
    for section, title in _TITLES.items():
        rows = [figure for figure in figures if figure.section == section]
        usual = any(row.beside is not None for row in rows)
        lines += [f"## {title}", "", _NOTES[section], ""]
        lines.append("| world | share |" + (" usual |" if usual else "") + " bound | runs | kept |")
        lines.append("| --- | ---: |" + (" ---: |" if usual else "") + " --- | ---: | --- |")
        for row in rows:
            beside = f" {_share(row.beside)} |" if usual else ""
            lines.append(f"| {row.cell} | {_share(row.value)} |{beside} {_bound(row)} | {row.runs:,} | {_kept(row)} |")
        lines.append("")
    return lines[:-1]


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _bound(row: Figure) -> str:
    if row.least is not None and row.most is not None:
        return f"{row.least:g} to {row.most:g}"
    if row.most is not None:
        return f"at most {row.most:g}"
    return f"at least {row.least:g}" if row.least is not None else ""


def _kept(row: Figure) -> str:
    if row.least is None and row.most is None:
        return ""
    return "yes" if row.kept else "**no**"


def _false_claims(figures: Sequence[Figure]) -> str:
    rows = [figure for figure in figures if figure.section == "false claims"]
    return _dots(rows, "False claims under daily looks: ours (filled), usual (hollow)", 0.0, 0.30, 0.05)


def _coverage(figures: Sequence[Figure]) -> str:
    rows = [figure for figure in figures if figure.section == "coverage"]
    return _dots(rows, "Coverage of the 95 % interval", 0.90, 1.0, 0.95)


def _dots(rows: Sequence[Figure], title: str, low: float, high: float, wanted: float) -> str:
    left, right, top = 310, 730, 56

    def at(value: float) -> float:
        return left + (min(max(value, low), high) - low) / (high - low) * (right - left)

    bottom = top + 26 * len(rows)
    body = [line(at(wanted), top - 6, at(wanted), bottom, NEUTRAL, 1.5, dash="4 4")]
    for step in range(6):
        value = low + (high - low) * step / 5
        body += [
            line(at(value), top - 6, at(value), bottom, GRID),
            text(at(value), bottom + 18, f"{value:.0%}", size=11, colour=FAINT, anchor="middle"),
        ]
    for place, row in enumerate(rows):
        y = top + 26 * place + 10
        body.append(text(20, y + 4, row.cell, size=12))
        body.append(line(at(row.value - row.slack), y, at(row.value + row.slack), y, NEUTRAL, 2))
        if row.beside is not None:
            body.append(
                f'<circle cx="{at(row.beside):.1f}" cy="{y}" r="4.5" fill="none" stroke="{BAD}" stroke-width="2"/>'
            )
        body.append(f'<circle cx="{at(row.value):.1f}" cy="{y}" r="4.5" fill="{GOOD if row.kept else BAD}"/>')
    return drawing(760, bottom + 30, title, body)
