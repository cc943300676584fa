"""Where a bandit is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

from alongside.content import load as load_content
from alongside.outreach import catalogues
from alongside.outreach.experiments import check
from alongside.segments import load as load_segments
from alongside.settings import Project
from tests.outreach.experiments.shipped import ROOT, edit


def test_a_bandit_is_refused_where_its_analysis_or_its_ethics_end(project: Project):
    path = "experiments/hypertension_review_wording.yaml"
    edit(project, path, "decide: ship_winner", "bandit: {minimum_share: 0.2}\ndecide: ship_winner")
    texts = [str(finding) for finding in check(project)]
    assert any("its verdict comes once" in text for text in texts)
    edit(project, path, "looks: daily ", "looks: final ")
    assert check(project) == []
    edit(project, path, "goal: booked_follow_up", "goal: visits")
    assert any("only rates: 'visits' is none" in str(finding) for finding in check(project))
    edit(project, path, "goal: visits", "goal: booked_follow_up")
    edit(project, path, "minimum_share: 0.2", "minimum_share: 0.5")
    assert check(project) == []


def test_medical_content_is_no_matter_of_luck(tmp_path: Path):
    for folder in ("config", "templates"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    whole = Project.at(tmp_path)
    path = "experiments/hypertension_review_wording.yaml"
    edit(whole, path, "looks: daily ", "looks: final ")
    segments, content = load_segments(whole), load_content(whole)
    assert catalogues.check(whole, segments, content) == []
    edit(whole, path, "decide: ship_winner", "bandit: {minimum_share: 0.2}\ndecide: ship_winner")
    found = [str(finding) for finding in catalogues.check(whole, segments, content)]
    assert any("is medical content, and a bandit lets luck choose" in text for text in found)
