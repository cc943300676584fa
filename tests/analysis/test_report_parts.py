"""Decision rule, figures and the report's section."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alongside.analysis import analyse_csv, forest_svg, section
from alongside.analysis.concluding import conclude
from alongside.analysis.judging.comparing import compare_goals, compare_guardrails
from alongside.analysis.judging.decision import Evidence, decide
from alongside.analysis.observing.observation import Observed
from alongside.analysis.observing.sums import ArmSums
from alongside.analysis.result import ExperimentResult, GuardrailStatus, Maturity, MetricInfo
from alongside.analysis.showing.brief import brief
from alongside.analysis.showing.decided import decided_words
from alongside.analysis.showing.forest import NARROW, WIDE, Layout
from alongside.analysis.showing.report import unbroken
from alongside.analysis.showing.svg import GOOD, drawing
from alongside.analysis.showing.trends import bars_svg
from alongside.analysis.showing.wording import amount, p_is
from alongside.analysis.showing.words import words
from alongside.ledger.experiments import Registration
from alongside.model.enums import Gate, Locale, Verdict
from alongside.outreach.experiments import MetricKind
from alongside.outreach.experiments.metrics import Direction
from tests.analysis.world import LAUNCH, definition, due

GOAL = MetricInfo("booked", MetricKind.BINARY, Direction.HIGHER)
LEAVING = MetricInfo("left", MetricKind.BINARY, Direction.LOWER)


def _sums(successes: int, n: int = 500) -> ArmSums:
    return ArmSums(n, successes, successes / n, 0.0)


def _result(
    name: str = "wording",
    personal: int = 96,
    left: int = 2,
    sizes: tuple[int, int] = (500, 500),
    *,
    early: bool = False,
) -> ExperimentResult:
    experiment = definition(name=name)
    sums = {
        "booked_follow_up": {"control": _sums(60), "personal": _sums(personal)},
        "unsubscribed": {"control": _sums(2), "personal": _sums(left)},
        "complained": {"control": _sums(0), "personal": _sums(0)},
        "delivered": {"control": _sums(490), "personal": _sums(491)},
    }
    maturity = Maturity(LAUNCH, LAUNCH + timedelta(days=12), due(experiment), 1000, 0, 0)
    arms = dict(zip(("control", "personal"), sizes, strict=True))
    observed = Observed(arms, {"email": arms}, maturity, sums, arrivals={"email": {0: arms}})
    return conclude(experiment, observed, due(experiment) - timedelta(hours=early))


@given(st.integers(0, 300), st.integers(0, 300), st.integers(0, 60), st.integers(0, 60), st.booleans(), st.booleans())
@settings(deadline=None, max_examples=150)
def test_nothing_ships_without_a_win_and_unharmed_guardrails(control, variant, left_0, left_1, complete, exploratory):
    sums = {
        "booked": {"control": _sums(control), "new": _sums(variant)},
        "left": {"control": _sums(left_0), "new": _sums(left_1)},
    }
    goals = compare_goals([GOAL], sums, ["new"], "control", 0.05)
    guardrails = compare_guardrails([(LEAVING, 0.03)], sums, ["new"], "control", 0.05)
    decided = decide(Evidence(goals, guardrails, None, complete, exploratory))
    if decided.verdict is Verdict.SHIP:
        assert complete
        assert not exploratory
        assert goals[0].comparison.p_value < 0.05
        assert variant > control
        assert guardrails[0].status is GuardrailStatus.UNHARMED
        assert guardrails[0].comparison.interval.high < 0.03
    if complete and guardrails[0].status is GuardrailStatus.HARMED:
        assert decided.verdict is Verdict.STOP_FOR_HARM


def test_the_better_of_two_winners_ships():
    sums = {"booked": {"control": _sums(60), "good": _sums(110), "best": _sums(140)}}
    goals = compare_goals([GOAL], sums, ["good", "best"], "control", 0.05)
    assert decide(Evidence(goals, ())).variant == "best"


def test_a_variant_that_loses_another_goal_does_not_win():
    other = MetricInfo("visits", MetricKind.BINARY, Direction.HIGHER)
    sums = {"booked": {"control": _sums(60), "new": _sums(120)}, "visits": {"control": _sums(120), "new": _sums(60)}}
    goals = compare_goals([GOAL, other], sums, ["new"], "control", 0.05)
    assert decide(Evidence(goals, ())).verdict is Verdict.KEEP_CONTROL


@pytest.mark.parametrize("locale", list(Locale))
def test_figures_are_well_formed_and_self_contained(locale: Locale):
    for svg in (forest_svg(_result(), locale), bars_svg([("03-01", 1200, 1100), ("03-05", 0, 0)], locale)):
        root = ET.fromstring(svg)
        assert root.tag.endswith("svg")
        assert "href" not in svg
        assert "<script" not in svg


def test_the_forest_shows_every_comparison_in_the_readers_words():
    chinese, english = forest_svg(_result(), Locale.ZH_CN), forest_svg(_result(), Locale.EN)
    assert all(words in chinese for words in ("预约了复诊", "退订", "送达", "个百分点"))
    assert all(words in english for words in ("booked a follow-up visit", "unsubscribed", "points"))
    assert english.count("<circle") == 4


def test_better_is_always_on_the_right():
    """More opt-outs are worse: their mark, a square, stands left of zero."""
    root = ET.fromstring(forest_svg(_result(left=20)))
    better = next(float(item.attrib["cx"]) for item in root.iter() if item.tag.endswith("circle"))
    worse = next(float(item.attrib["x"]) for item in root.iter() if item.attrib.get("width") == "10")
    middle = 270 + (760 - 270 - 170) / 2
    assert better > middle > worse + 5


def test_an_empty_experiment_has_a_figure_too():
    experiment = definition()
    nothing = Observed(
        {}, {}, Maturity(LAUNCH, LAUNCH, due(experiment), 0, 0, 0), {m.name: {} for m in experiment.metrics}
    )
    result = conclude(experiment, nothing, due(experiment))
    assert "Nothing to compare yet" in forest_svg(result)
    assert "尚无可比较的数据" in forest_svg(result, Locale.ZH_CN, NARROW)


@pytest.mark.parametrize("layout", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("locale", list(Locale))
def test_nothing_of_a_forest_lies_outside_the_figure(locale: Locale, layout: Layout):
    root = ET.fromstring(forest_svg(_result(), locale, layout))
    places = [
        float(item.attrib[name]) for item in root.iter() for name in ("x", "x1", "x2", "cx") if name in item.attrib
    ]
    assert min(places) >= 0
    assert max(places) <= layout.width


def test_bars_are_proportional_and_the_newest_stay():
    root = ET.fromstring(bars_svg([(f"{day:02}", day, day // 2) for day in range(1, 61)], Locale.EN, width=340))
    heights = [float(item.attrib["height"]) for item in root.iter() if item.tag.endswith("rect")][2:]
    taken = heights[::2]
    assert len(taken) < 60
    assert taken[-1] == pytest.approx(60 / 59 * taken[-2], abs=0.2)
    labels = [item.text for item in root.iter() if item.tag.endswith("text")]
    assert "60" in labels


def test_both_languages_have_a_word_for_everything_that_is_counted():
    counted = {f"gate:{gate.name.lower()}" for gate in Gate if gate.name}
    for locale in Locale:
        assert counted <= set(words(locale))
        assert all(text.strip() for text in words(locale).values())


@pytest.mark.parametrize("locale", list(Locale))
def test_the_section_says_everything_once(locale: Locale):
    part = section(_result(), locale)
    assert part.headline == _result().verdict_text[locale]
    assert [row.status for row in part.rows][1:] == [part.rows[1].status] * 3
    assert part.rows[0].treatment == "19.2 %"
    assert part.rows[0].control == "12.0 %"
    assert part.arms == (("control", 500), ("personal", 500))
    assert part.figure.startswith("<svg")
    assert part.narrow_figure.startswith("<svg")


def test_csv_results_have_a_section_too(tmp_path: Path):
    path = tmp_path / "t.csv"
    path.write_text("arm,y\n" + "A,1\nA,2\nB,3\nB,4\n" * 5, "utf-8")
    part = section(analyse_csv(path, "arm", "A", ["y"]), Locale.EN)
    assert part.rows[0].relative == "+133.3 %"


@pytest.mark.parametrize("locale", list(Locale))
def test_the_artifact_has_the_sections_words_as_tables(locale: Locale):
    page = section(_result(), locale, ["decided"])
    text = brief(page, locale)
    assert text.startswith(f"**{page.headline}**")
    assert "\n\ndecided\n" in text
    widths = [line.count(" | ") for line in text.splitlines() if line.startswith("| ")]
    assert len(widths) >= 2 + len(page.rows)
    for row in page.rows:
        assert f"| {row.metric} | {row.variant} |" in text


def test_days_are_those_of_the_hospital():
    """A run at seven in Shanghai is of the day before in UTC."""
    zone, seven = ZoneInfo("Asia/Shanghai"), due(definition()) - timedelta(hours=1)
    early = _result(early=True)
    assert early.maturity is not None
    launched = replace(early, maturity=replace(early.maturity, verdict_due=seven))
    assert section(launched, Locale.EN).next_steps == ("The verdict comes on 2026-03-20.",)
    assert section(launched, Locale.EN, zone=zone).next_steps == ("The verdict comes on 2026-03-21.",)
    registered = Registration("wording", "h", {}, "c", "2", LAUNCH, None, seven, {"variant": "control"})
    assert decided_words(registered, zone)[Locale.EN] == ["Runs after 2026-03-21 send “control” to everybody."]
    change = {"at": seven.isoformat(), "by": "ops", "from": "personal", "to": "control", "reason": "full"}
    changed = replace(registered, decision={"variant": "control", "changes": [change]})
    assert "on 2026-03-21: full" in decided_words(changed, zone)[Locale.EN][1]


@pytest.mark.parametrize(
    ("value", "en", "zh"),
    [
        (0.0004, "0.0 points", "0.0 个百分点"),
        (-0.0004, "0.0 points", "0.0 个百分点"),
        (-0.012, "-1.2 points", "-1.2 个百分点"),
        (0.09, "+9.0 points", "+9.0 个百分点"),
    ],
)
def test_what_rounds_to_nothing_has_no_sign(value: float, en: str, zh: str):
    assert (amount(value, GOAL, Locale.EN), amount(value, GOAL, Locale.ZH_CN)) == (en, zh)


@pytest.mark.parametrize(("p", "said"), [(0.0401, "p = 0.040"), (3.7e-22, "p < 0.001"), (None, "p = –")])
def test_a_p_value_has_no_more_digits_than_anybody_reads(p: float | None, said: str):
    assert p_is(p) == said


@pytest.mark.parametrize("locale", list(Locale))
def test_nothing_of_a_void_result_looks_like_a_finding(locale: Locale):
    """Sizes that are no chance: no colour of a winner, no status, no plain words on who is better; and what now."""
    result = _result(sizes=(300, 500))
    page = section(result, locale)
    assert page.verdict is Verdict.INVALID
    assert {row.status for row in page.rows} == {words(locale)["void"]}
    assert "alongside pause campaign:" in page.next_steps[0]
    assert section(result, locale, ["decided long ago"]).next_steps == ("decided long ago",)
    assert not page.breakdowns
    assert len(page.remarks) == 2
    assert GOOD not in page.figure
    marks = [item.attrib["fill"] for item in ET.fromstring(page.figure).iter() if item.tag.endswith("circle")]
    assert marks == ["#ffffff"] * 4


@pytest.mark.parametrize("locale", list(Locale))
def test_before_the_only_look_nothing_is_claimed(locale: Locale):
    """However small a p-value is now: with one look planned, it is one of many that might have been taken."""
    result = _result(early=True)
    page = section(result, locale)
    assert page.verdict is Verdict.NOT_MATURE
    assert result.goals[0].significant
    assert {row.status for row in page.rows} == {words(locale)["too_early"]}
    assert GOOD not in page.figure
    assert not [remark for remark in page.remarks if words(locale)["corrected"][:6] in remark]


@pytest.mark.parametrize("locale", list(Locale))
def test_marks_differ_in_form_and_are_explained(locale: Locale):
    """Better is filled, open is hollow, worse is a square: colour alone tells nothing."""
    root = ET.fromstring(forest_svg(_result(left=30), locale))
    circles = [item.attrib["fill"] for item in root.iter() if item.tag.endswith("circle")]
    squares = [item for item in root.iter() if item.tag.endswith("rect") and item.attrib["width"] == "10"]
    assert (circles[0], len(squares)) == (GOOD, 1)
    assert any(item.text and "○" in item.text for item in root.iter() if item.tag.endswith("text"))


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        ("short", ["short"]),
        ("Evidence on “booked a follow-up visit”: personal", ["Evidence on “booked a follow-up visit”:", "personal"]),
        (
            "一二三四五六七八九十一二三四五六七八九十一二三四五",
            ["一二三四五六七八九十一二三四五六七八九十一", "二三四五"],
        ),
    ],
)
def test_a_long_title_takes_a_second_line(words: str, lines: list[str]):
    root = ET.fromstring(drawing(340, 90, words, []))
    assert [item.text for item in root.iter() if item.tag.endswith("text")] == lines


def test_days_and_numbers_with_their_unit_stay_on_one_line():
    shown = unbroken("by 2026-03-21: +1.2 points & 15.4 % <b>")
    assert str(shown) == (
        'by <span class="u">2026-03-21</span>: <span class="u">+1.2 points</span> &amp;'
        ' <span class="u">15.4 %</span> &lt;b&gt;'
    )
