"""The figure of an experiment's power, in both languages and for both screens."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from alongside.analysis.result import MetricInfo
from alongside.analysis.showing.power_curve import power_svg
from alongside.analysis.showing.svg import BAD, GOOD, NARROW_WIDTH, WIDE_WIDTH
from alongside.model.enums import Locale
from alongside.outreach.experiments import design, power_curve
from tests.analysis.world import definition


@pytest.mark.parametrize("width", [WIDE_WIDTH, NARROW_WIDTH])
@pytest.mark.parametrize(
    ("locale", "title", "found"),
    [
        (Locale.EN, "Chance to find a difference", "88% at +8.0 points"),
        (Locale.ZH_CN, "发现“预约了复诊”差异的把握", "效果为+8.0 个百分点时，把握为 88%"),
    ],
)
def test_the_curve_is_drawn_with_its_words(width: int, locale: Locale, title: str, found: str):
    experiment = definition()
    report = design(experiment, 950)
    curve = power_curve(experiment, 950)
    drawn = power_svg(report, curve, MetricInfo.of(experiment.goals[0]), locale, width)
    root = ET.fromstring(drawn)
    texts = ["".join(node.itertext()) for node in root.iter() if node.tag.endswith("text")]
    assert texts[0].startswith(title)
    assert found in texts
    [line] = [node.get("points", "").split() for node in root.iter() if node.tag.endswith("polyline")]
    heights = [float(point.split(",")[1]) for point in line]
    assert len(line) == 25
    assert heights == sorted(heights, reverse=True)  # y grows downwards


def test_too_little_power_is_red():
    experiment = definition()
    info = MetricInfo.of(experiment.goals[0])
    for people, colour, other in ((950, GOOD, BAD), (300, BAD, GOOD)):
        drawn = power_svg(design(experiment, people), power_curve(experiment, people), info)
        assert colour in drawn
        assert other not in drawn
