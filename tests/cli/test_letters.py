"""`alongside letters` as a clerk uses it, and a look at a letter before anybody gets it."""

from __future__ import annotations

import json
import stat
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from alongside.ledger import Ledger, consent, letter_list
from alongside.ledger.consent import ConsentEvent
from alongside.ledger.letter_list import Words
from alongside.ledger.vault import Vault
from alongside.model.enums import Decision, ReturnReason
from alongside.model.letter_numbers import letter_number
from alongside.settings import Environment
from tests.cli.conftest import here
from tests.fakes import key_of, plan
from tests.paper import pages_of, require_paper

DAY = date(2026, 3, 2)
THEN = datetime(2026, 3, 2, 2, 0, tzinfo=UTC)
NUMBERS = [letter_number(key_of(number)) for number in range(3)]
PAGE = "<html><head><style>p {{ color: black }}</style></head><body><p>Dear {name}, words.</p></body></html>"


@pytest.fixture
def listed(shipped: Ledger) -> Ledger:
    """Three letters of one day, to patients who agreed to them."""
    plan(shipped, range(3), channel="letter", purpose="care")
    vault = Vault.open(shipped, Environment.read())
    names = ("Anna", "Kofi", "王芳")
    letters = {
        key_of(number): Words((name, f"{number + 1} Sample Street", "Exampleton"), PAGE.format(name=name))
        for number, name in enumerate(names)
    }
    agreed = [
        ConsentEvent(f"p{number:016x}", "care", "letter", Decision.PERMIT, THEN, "extract:crm", "form")
        for number in range(3)
    ]
    with shipped.begin() as connection:
        consent.record(connection, agreed, THEN)
        letter_list.add(connection, vault, "b1", letters, day=DAY, now=THEN)
    return shipped


def told(*words: str) -> object:
    done = here("letters", *words, "--json")
    assert done.exit_code == 0, f"{done.output}{done.exception}"
    return json.loads(done.stdout)


def audited(ledger: Ledger) -> list[str]:
    return ledger.read_arrow("SELECT action FROM audit ORDER BY at")["action"].to_pylist()


def test_days_and_letters_are_listed_without_names(listed: Ledger) -> None:
    assert told("list") == [
        {"day": "2026-03-02", "listed": 3, "printed": 0, "posted": 0, "returned": 0, "withheld": 0}
    ]  # fmt: skip
    found = told("list", "--day", "2026-03-02")
    assert isinstance(found, list)
    assert sorted(one["number"] for one in found) == sorted(NUMBERS)
    for words in (("list",), ("list", "--day", "2026-03-02")):
        output = here("letters", *words).output
        assert "Anna" not in output
        assert "Sample Street" not in output
    assert "no letters of 2026-03-03" in here("letters", "list", "--day", "2026-03-03").output


def test_a_day_is_printed_posted_and_one_comes_back(listed: Ledger, tmp_path: Path) -> None:
    require_paper()
    out = tmp_path / "out"
    [report] = told("print", "--day", "2026-03-02", "--out", str(out))  # type: ignore[misc]
    [stack] = report["stacks"]
    assert (stack["letters"], stack["again"], stack["unprintable"]) == (3, 0, [])
    assert stat.S_IMODE(out.stat().st_mode) == 0o700
    assert "Dear 王芳, words." in "".join(pages_of(Path(stack["files"][0]).read_bytes()))
    again = here("letters", "print", "--day", "2026-03-02", "--out", str(out))
    assert "3 letters of 2026-03-02 were printed before; --again prints them again." in again.output
    single = here("letters", "print", NUMBERS[0], "--out", str(out))
    assert "1 letter, 1 page, 1 of them printed before." in single.output
    assert told("posted", "2026-03-02/1", "--by", "Clerk A") == {"posted": 3}
    assert told("posted", NUMBERS[0].lower()) == {"posted": 0}
    person = f"p{0:016x}"
    assert told("returned", NUMBERS[0], "--reason", "moved") == {
        "number": NUMBERS[0], "person_id": person, "campaign": "hello", "reason": "moved"
    }  # fmt: skip
    stopped = told("stop", NUMBERS[2])
    assert stopped == {"number": NUMBERS[2], "person_id": f"p{2:016x}", "purpose": "care"}
    said = here("letters", "returned", NUMBERS[1], "--reason", "deceased").output
    assert "own system has to know of the death" in said
    assert set(audited(listed)) == {"letters.print", "letters.posted", "letters.returned", "letters.stop"}


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("print", "--day", "2026-03-09", "--out", "x"), 1, "there are no letters of 2026-03-09"),
        (("print", "--day", "soon", "--out", "x"), 2, "'soon' is no day"),
        (("posted", "2026-03-02/x"), 2, "'2026-03-02/x' is no stack"),
        (("posted", "2026-03-09"), 1, "there are no letters of 2026-03-09"),
        (("posted", NUMBERS[0]), 1, "is listed"),
        (("returned", "0000-0000-0001", "--reason", "moved"), 1, "is no number of a letter"),
        (("returned", letter_number("x"), "--reason", "moved"), 1, "no letter has the number"),
        (("returned", NUMBERS[0], "--reason", "lost"), 2, "'lost' is not one of"),
        (("print", NUMBERS[0][:-1] + "!", "--out", "x"), 1, "is no number of a letter"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence(
    listed: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], code: int, said: str
) -> None:
    if words[0] == "print":
        require_paper()
    monkeypatch.chdir(tmp_path)
    done = here("letters", *words)
    assert (done.exit_code, said in f"{done.output}{done.exception}") == (code, True), done.output
    assert audited(listed) == []


def test_every_reason_of_a_return_is_offered() -> None:
    assert set(ReturnReason) >= {"moved", "unknown", "address", "deceased", "refused", "unclaimed", "other"}


@pytest.mark.parametrize("large", [False, True])
def test_a_preview_is_a_pdf_for_its_owner_alone(shipped: Ledger, tmp_path: Path, large: bool) -> None:
    require_paper()
    target = tmp_path / "letter.pdf"
    options = ["--channel", "letter", "--locale", "en", "--pdf", str(target), *(["--large"] if large else [])]
    done = here("preview", "follow_up/hypertension_review", *options, "--json")
    found = json.loads(done.stdout)
    assert (found["pdf"], found["unprintable"]) == (str(target), "")
    assert found["pages"] == len(pages_of(target.read_bytes()))
    assert "Your next check-up is due" in found["text"]
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_a_preview_without_a_place_says_where_it_is(shipped: Ledger, tmp_path: Path) -> None:
    require_paper()
    done = here("preview", "prevention/flu_vaccine", "--channel", "letter")
    assert str(tmp_path / "var" / "preview" / "prevention-flu_vaccine.zh_CN.pdf") in done.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("preview", "prevention/flu_vaccine", "--large"), "are for letters"),
        (("send-test", "prevention/flu_vaccine", "--channel", "letter", "--to", "+8613800000000"), "by looking at it"),
    ],
)
def test_what_fits_no_letter_is_wrong_usage(shipped: Ledger, words: tuple[str, ...], said: str) -> None:
    done = here(*words)
    assert (done.exit_code, said in done.output) == (2, True)
