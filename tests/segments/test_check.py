"""`check`: faults of a project's tags and segments, each with file, line, field and remedy."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from alongside.model.errors import ConfigurationInvalid
from alongside.segments import check, load
from alongside.settings import Project
from tests.conftest import ROOT
from tests.segments.conftest import CONCEPTS, Written


def test_the_project_as_shipped_is_clean_and_checked_within_a_second() -> None:
    taken = []
    for _ in range(3):  # the first one also imports the parser; processor time, as the machine has others to serve
        start = time.process_time()
        assert check(Project.at(ROOT)) == []
        taken.append(time.process_time() - start)
    assert min(taken) < 1


def test_checking_loads_no_database_and_importing_loads_no_parser() -> None:
    program = (
        "import sys, alongside.segments as s\n"
        "assert 'sqlglot' not in sys.modules\n"
        "from alongside.settings import Project\n"
        "assert s.check(Project.find()) == []\n"
        "assert not {'duckdb', 'pyarrow', 'sqlalchemy', 'pandas'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, env={"PYTHONPATH": str(ROOT)})


def test_a_fault_names_the_line_of_the_word_within_a_long_expression(written: Written) -> None:
    written.segment("due", "age >= 35\nand has_condition('hypertension')\nand has_condition('diabets_type_2')")
    assert written.faults() == [
        "segments/due.yaml:8: where: 'diabets_type_2' is not a known condition (did you mean 'diabetes_type_2'?)"
    ]


def test_a_fault_in_a_tag_names_its_line_and_field(written: Written) -> None:
    written.tag("fine", when="age > 60").tag("wrong", when="age > 'x'").tag("list", value="conditions")
    first, second = written.faults()
    assert first == "tags/tags.yaml:2: wrong.when: 'age > 'x'' compares a number with text"
    assert second.startswith("tags/tags.yaml:3: list.value: is a list")


def test_segments_that_refer_to_each_other_in_a_ring_are_refused(written: Written) -> None:
    written.segment("a", "in_segment('b')").segment("b", "has_tag('c')").tag("c", when="age > 3 or in_segment('a')")
    written.segment("innocent", "age > 3").segment("dependent", "in_segment('a')")
    (fault,) = written.faults()
    assert "refers to itself: a -> c -> b -> a" in fault or "refers to itself: " in fault
    assert {"a", "b", "c"} <= set(fault.split("itself: ")[1].split(" (")[0].split(" -> "))
    with pytest.raises(ConfigurationInvalid, match="1 configuration fault"):
        written.load()


def test_a_segment_that_refers_to_itself_is_refused(written: Written) -> None:
    written.segment("a", "age > 3\nor in_segment('a')")
    assert written.faults() == ["segments/a.yaml:6: where: refers to itself: a -> a (take one of these references out)"]


def test_an_unknown_reference_names_the_nearest(written: Written) -> None:
    written.segment("lapsed_patients", "age > 3").segment("b", "in_segment('lapsed_patient')")
    assert written.faults() == [
        "segments/b.yaml:6: where: 'lapsed_patient' is not a known segment (did you mean 'lapsed_patients'?)"
    ]


def test_a_broken_definition_is_reported_once_not_at_each_use(written: Written) -> None:
    written.segment("broken", "aeg > 3").segment("user", "in_segment('broken')")
    written.tag("torn", when="aeg > 3").segment("reader", "has_tag('torn')")
    (written.root / "config" / "segments" / "unreadable.yaml").write_text("name: [", "utf-8")
    written.segment("third", "in_segment('unreadable')")
    assert [fault.split(":")[0] for fault in written.faults()] == [
        "segments/broken.yaml",
        "segments/unreadable.yaml",
        "tags/tags.yaml",
    ]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("name: odd\nlabel: {zh_CN: 名}\n", "label: text is missing in en"),
        ("name: odd\nstage: folow_up\n", "did you mean 'follow_up'?"),
        ("name: odd\nwhere: ''\n", "is empty: write a condition"),
        ("name: odd\nwehre: age > 3\n", "wehre: is not a known field (did you mean 'where'?)"),
        ("name: even\n", "differs from its file's name odd.yaml"),
        ("- a list\n", "must be a mapping of fields"),
        ("name: odd\nname: odd\n", "stands twice"),
        ("", "is empty"),
    ],
)
def test_a_malformed_segment_file_is_told_in_words(written: Written, body: str, said: str) -> None:
    written.segment("odd", "age > 3")
    path = written.root / "config" / "segments" / "odd.yaml"
    kept = [line for line in path.read_text("utf-8").splitlines() if line.split(":")[0] not in body]
    path.write_text(body if body in ("", "- a list\n") else body + "\n".join(kept) + "\n", "utf-8")
    assert any(said in fault for fault in written.faults()), written.faults()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("Big: {level: basic, when: age > 3, description: {zh_CN: 说明, en: x}}", "starts with a small letter"),
        ("both: {level: basic, when: age > 3, value: age, description: {zh_CN: 说明, en: x}}", "needs either 'when'"),
        ("none: {level: basic, description: {zh_CN: 说明, en: x}}", "needs either 'when'"),
        ("odd: {level: basics, when: age > 3, description: {zh_CN: 说明, en: x}}", "did you mean 'basic'?"),
        ("odd: 3", "must be a mapping of fields"),
    ],
)
def test_a_malformed_tag_is_told_in_words(written: Written, line: str, said: str) -> None:
    path = written.root / "config" / "tags" / "tags.yaml"
    path.write_text(f"fine: {{level: basic, when: age > 3, description: {{zh_CN: 说明, en: x}}}}\n{line}\n", "utf-8")
    (fault,) = written.faults()
    assert fault.startswith("tags/tags.yaml:2:")
    assert said in fault


def test_a_tag_stands_in_one_file_only(written: Written) -> None:
    written.tag("senior", when="age > 60")
    other = written.root / "config" / "tags" / "zz.yaml"
    other.write_text((written.root / "config" / "tags" / "tags.yaml").read_text("utf-8"), "utf-8")
    assert written.faults() == ["tags/zz.yaml:1: senior: the tag stands in tags.yaml too (keep one of them)"]


def test_a_hospital_without_a_vocabulary_may_use_its_own_words(tmp_path: Path, written: Written) -> None:
    written.segment("a", "visited('sports medicine', 30)")
    assert written.faults() == []
    (written.root / "config" / "vocabulary.yaml").write_text("departments: [cardiology]\n", "utf-8")
    assert "'sports medicine' is not a known department" in written.faults()[0]


def test_loading_reports_every_fault_at_once(written: Written) -> None:
    written.segment("a", "aeg > 3").segment("b", "age > 'x'")
    with pytest.raises(ConfigurationInvalid) as raised:
        load(written.project, CONCEPTS)
    assert len(raised.value.findings) == 2
