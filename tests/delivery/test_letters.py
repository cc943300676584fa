"""Letters on paper: listed once, printed as they were written, posted, and what the post brings back."""

from __future__ import annotations

import csv
import io
import json
import stat
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from alongside.content import load as load_content
from alongside.delivery.last_look import LastLook, died_by
from alongside.delivery.posting import record_posted, record_returned, record_stopped
from alongside.delivery.printing import PrintReport, PrintRoom
from alongside.ledger import consent, letter_list, pauses, suppressions, wishes
from alongside.ledger.consent import ConsentEvent, record
from alongside.ledger.letter_list import PrintedLetter
from alongside.ledger.schema import message, printed_letter
from alongside.ledger.vault import Identity
from alongside.ledger.wishes import WishEvent
from alongside.model.enums import Channel, Decision, DeliveryMode, LetterStatus, ReturnReason, WishKind
from alongside.model.errors import Refused
from alongside.model.letter_numbers import letter_number
from alongside.warehouse import Warehouse
from tests.delivery.clinic import Clinic, home_of, name_of
from tests.fakes import key_of
from tests.ledgers import SqliteLedgers
from tests.paper import pages_of, require_paper

LETTER = Channel.LETTER
NOW = datetime(2026, 3, 2, 4, 30, tzinfo=UTC)


@pytest.fixture
def writing(ledger_url: str, tmp_path: Path) -> Iterator[Clinic]:
    """A clinic with letters listed to three patients."""
    yield from _opened(ledger_url, tmp_path / "project")


@pytest.fixture
def printing(tmp_path: Path, sqlite_ledgers: SqliteLedgers) -> Iterator[Clinic]:
    """The same where what is printed matters, and not where it was kept."""
    require_paper()
    yield from _opened(sqlite_ledgers.place(tmp_path / "ledger.db"), tmp_path / "project")


def _opened(url: str, root: Path) -> Iterator[Clinic]:
    # one worker: stacks are made in this process, which has loaded the fonts before
    opened = Clinic.open(url, root, "http://127.0.0.1:9", letter={"stack_size": 2}, delivery={"workers": 1})
    opened.admit(range(3), channels=("letter",))
    opened.plan(range(3), channel=LETTER)
    opened.dispatch(channel=LETTER)
    yield opened
    opened.ledger.engine.dispose()


def today(clinic: Clinic) -> date:
    with clinic.ledger.reading() as connection:
        return letter_list.days(connection, 1)[0].day


def letters(clinic: Clinic) -> dict[str, PrintedLetter]:
    with clinic.ledger.reading() as connection:
        return {one.letter_id: one for one in letter_list.of_day(connection, today(clinic))}


def statuses(clinic: Clinic) -> list[str]:
    found = letters(clinic)
    return [found[key_of(number)].status for number in range(3)]


def last_look(clinic: Clinic, *died: int) -> LastLook:
    """The hospital's systems know of these deaths."""
    dead = {f"p{number:016x}" for number in died}
    return LastLook(clinic.settings, load_content(clinic.project), lambda people: dead & set(people))


def room(clinic: Clinic, out: Path) -> PrintRoom:
    return PrintRoom(clinic.ledger, clinic.vault, clinic.settings, out, "Clerk A", last_look(clinic))


def print_all(clinic: Clinic, out: Path, *, again: bool = False) -> PrintReport:
    require_paper()
    return room(clinic, out).print_day(today(clinic), again=again, now=NOW)


def text_of(out: Path, name: str) -> str:
    return "\n".join(pages_of((out / name).read_bytes()))


def test_each_letter_is_listed_once(writing: Clinic) -> None:
    assert writing.states == {"accepted": 3}
    assert writing.dispatch(channel=LETTER).progress.accepted == 0
    assert statuses(writing) == ["listed"] * 3
    assert {one.number for one in letters(writing).values()} == {letter_number(key_of(number)) for number in range(3)}


def test_names_addresses_and_words_are_sealed_where_they_lie(writing: Clinic) -> None:
    with writing.ledger.reading() as connection:
        sealed = b"".join(bytes(one) for one in connection.execute(sa.select(printed_letter.c.sealed)).scalars())
        words = letter_list.words_of(connection, writing.vault, [key_of(0)])[key_of(0)]
    assert words.lines == ("999001", "青禾市东湖区", "示范路1号", name_of(0))
    assert "A minute for your heart" in words.html
    assert name_of(0) not in repr(words)
    assert b"heart" not in sealed
    assert "示范路".encode() not in sealed


def test_a_listed_letter_is_found_when_its_outcome_was_lost(writing: Clinic) -> None:
    """The list has it; the worker died before it could say so."""
    with writing.ledger.begin() as connection:
        connection.exec_driver_sql("UPDATE message SET state = 'unknown'")
        connection.exec_driver_sql("UPDATE batch SET state = 'unknown'")
    assert writing.reconcile(grace=timedelta(0)).found == 3
    assert writing.states == {"accepted": 3}


def test_night_is_no_hindrance(ledger_url: str, tmp_path: Path) -> None:
    clinic = Clinic.open(ledger_url, tmp_path / "project", "http://127.0.0.1:9")
    clinic.as_of = datetime(2026, 3, 2, 18, 0, tzinfo=UTC)  # two in the morning in Shanghai
    clinic.admit([0], channels=("letter", "call"))
    clinic.plan([0], channel=LETTER)
    assert clinic.dispatch(channel=LETTER).progress.accepted == 1
    clinic.ledger.engine.dispose()


def test_stacks_hold_every_letter_once_and_are_for_their_owner_alone(writing: Clinic, tmp_path: Path) -> None:
    out = tmp_path / "out"
    report = print_all(writing, out)
    assert [(one.letters, one.again) for one in report.stacks] == [(2, 0), (1, 0)]
    day = today(writing)
    names = [f"{kind}-{day}-{stack}{end}" for stack in (1, 2) for kind, end in _KINDS]
    assert sorted(path.name for path in out.iterdir()) == sorted(names)
    assert {stat.S_IMODE(path.stat().st_mode) for path in out.iterdir()} == {0o600}
    text = text_of(out, f"letters-{day}-1.pdf") + text_of(out, f"letters-{day}-2.pdf")
    for number in range(3):
        assert text.count(name_of(number)) >= 1
        assert home_of(number).line in text
    assert statuses(writing) == ["printed"] * 3


_KINDS = (("letters", ".pdf"), ("addresses", ".csv"), ("addresses", ".pdf"))


def test_the_address_sheet_says_nothing_of_what_the_letters_say(printing: Clinic, tmp_path: Path) -> None:
    print_all(printing, tmp_path)
    name = f"addresses-{today(printing)}-1"
    rows = list(csv.DictReader(io.StringIO((tmp_path / f"{name}.csv").read_bytes().decode("utf-8-sig"))))
    known = {one.number: one for one in letters(printing).values() if one.stack == 1}
    assert {row["number"] for row in rows} == known.keys()
    assert {row["line_2"] for row in rows} == {"青禾市东湖区"}
    sheet = text_of(tmp_path, f"{name}.pdf")
    assert all(number in sheet for number in known)
    for text in (sheet, json.dumps(rows, ensure_ascii=False)):
        assert "heart" not in text
        assert "hello" not in text


def test_printing_again_says_so_and_gives_the_same_bytes(printing: Clinic, tmp_path: Path) -> None:
    print_all(printing, tmp_path / "first")
    second = print_all(printing, tmp_path / "second")
    assert (second.stacks, second.printed_before) == ((), 3)
    third = print_all(printing, tmp_path / "third", again=True)
    assert [(one.letters, one.again) for one in third.stacks] == [(2, 2), (1, 1)]
    for path in (tmp_path / "first").iterdir():
        assert (tmp_path / "third" / path.name).read_bytes() == path.read_bytes()
    assert {one.printings for one in letters(printing).values()} == {2}


def test_several_processes_make_the_same_files(printing: Clinic, tmp_path: Path) -> None:
    print_all(printing, tmp_path / "one")
    several = printing.settings.delivery.model_copy(update={"workers": 2})
    settings = printing.settings.model_copy(update={"delivery": several})
    again = PrintRoom(printing.ledger, printing.vault, settings, tmp_path / "two", "Clerk A", last_look(printing))
    again.print_day(today(printing), again=True, now=NOW)
    assert len(list((tmp_path / "two").iterdir())) == 6
    for path in (tmp_path / "one").iterdir():
        assert (tmp_path / "two" / path.name).read_bytes() == path.read_bytes()


def test_killed_between_file_and_ledger_it_prints_the_same_again(
    printing: Clinic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stack keeps its letters and its name, so that nobody posts two stacks of the same letters."""

    def cut(name: str) -> None:
        if name == "letters.written":
            raise KeyboardInterrupt

    with monkeypatch.context() as power:
        power.setattr("alongside.delivery.printing.failpoint", cut)
        with pytest.raises(KeyboardInterrupt):
            print_all(printing, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.glob("*-1.*")}
    assert len(before) == 3
    assert statuses(printing) == ["listed"] * 3
    assert [one.again for one in print_all(printing, tmp_path).stacks] == [0, 0]
    assert {name: (tmp_path / name).read_bytes() for name in before} == before


def test_an_unprintable_name_is_told_and_stays_on_the_list(printing: Clinic, tmp_path: Path) -> None:
    strange = Identity(name="王\U000f0000", postal=home_of(9).kept)
    printing.admit([9], channels=("letter",))
    with printing.ledger.begin() as connection:
        printing.vault.store(connection, {f"p{9:016x}": strange}, NOW)
    printing.plan([9], channel=LETTER, run_id="run-2")
    printing.dispatch(channel=LETTER)
    report = print_all(printing, tmp_path)
    assert [number for one in report.stacks for number in one.unprintable] == [letter_number(key_of(9))]
    assert sum(one.letters for one in report.stacks) == 3
    assert letters(printing)[key_of(9)].status == "listed"


def test_a_letter_stays_as_it_was_written_when_its_patient_moves(printing: Clinic, tmp_path: Path) -> None:
    print_all(printing, tmp_path / "first")
    printing.admit(range(10, 13))
    with printing.ledger.begin() as connection:
        printing.vault.forget(connection, [f"p{number:016x}" for number in range(3)])
    print_all(printing, tmp_path / "second", again=True)
    name = f"letters-{today(printing)}-1.pdf"
    assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


def test_a_spoilt_letter_is_printed_alone_and_leaves_its_stack_alone(printing: Clinic, tmp_path: Path) -> None:
    print_all(printing, tmp_path)
    stack = tmp_path / f"letters-{today(printing)}-1.pdf"
    before = stack.read_bytes()
    spoilt = next(one for one in letters(printing).values() if one.stack == 1)
    (report,) = room(printing, tmp_path).print_some([spoilt.number.lower()], NOW)
    (some,) = report.stacks
    assert (some.letters, some.again) == (1, 1)
    assert "-some-" in some.files[0].name
    assert stack.read_bytes() == before
    assert f"{spoilt.number}" in "\n".join(pages_of(some.files[0].read_bytes()))


def test_later_letters_of_a_day_come_into_a_stack_of_their_own(printing: Clinic, tmp_path: Path) -> None:
    print_all(printing, tmp_path)
    printing.admit([3], channels=("letter",))
    printing.plan([3], channel=LETTER, run_id="run-2")
    printing.dispatch(channel=LETTER)
    report = print_all(printing, tmp_path)
    assert [(one.number, one.letters) for one in report.stacks] == [(3, 1)]
    assert report.printed_before == 3


def test_who_leaves_between_listing_and_printing_gets_no_letter(writing: Clinic, tmp_path: Path) -> None:
    withdrawn = ConsentEvent("p" + "0" * 16, "education", "*", Decision.DENY, NOW - timedelta(hours=1), "page", "")
    with writing.ledger.begin() as connection:
        record(connection, [withdrawn], NOW)
        dead = suppressions.Suppression(writing.blind(1, channel=LETTER), "letter", "all", "staff", NOW, "staff")
        suppressions.add(connection, [dead])
    report = print_all(writing, tmp_path)
    assert report.withheld.gates == {"no_consent": 1, "suppressed": 1}
    assert statuses(writing) == ["withheld", "withheld", "printed"]
    assert [state for state, _ in writing.states_of(range(3))] == ["dropped", "dropped", "accepted"]
    assert sum(one.letters for one in report.stacks) == 1


def test_what_is_paused_waits(writing: Clinic, tmp_path: Path) -> None:
    with writing.ledger.begin() as connection:
        pauses.set_pause(connection, "campaign:hello", by="x", reason="wrong wording", now=NOW)
    report = print_all(writing, tmp_path)
    assert (report.stacks, report.withheld.paused) == ((), 3)
    with writing.ledger.begin() as connection:
        pauses.set_pause(connection, "channel:letter", by="x", reason="no paper", now=NOW)
    with pytest.raises(Refused, match="no paper"):
        print_all(writing, tmp_path)
    assert statuses(writing) == ["listed"] * 3


def test_posting_counts_each_letter_once_and_leaves_the_message_accepted(writing: Clinic, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="is listed"):
        record_posted(writing.ledger, numbers=[letter_number(key_of(0))], by="Clerk A", now=NOW)
    print_all(writing, tmp_path)
    day = today(writing)
    assert record_posted(writing.ledger, day=day, stack=1, by="Clerk A", now=NOW) == 2
    assert record_posted(writing.ledger, day=day, by="Clerk A", now=NOW) == 1
    assert record_posted(writing.ledger, day=day, by="Clerk A", now=NOW) == 0
    assert statuses(writing) == ["posted"] * 3
    assert writing.states == {"accepted": 3}
    assert print_all(writing, tmp_path, again=True).stacks == ()  # what is on its way is not printed again


@pytest.mark.parametrize("reason", list(ReturnReason))
def test_a_returned_letter_bounced_and_closes_its_address(
    writing: Clinic, tmp_path: Path, reason: ReturnReason
) -> None:
    with writing.ledger.begin() as connection:
        letter_list.move(connection, [key_of(0)], (LetterStatus.LISTED,), LetterStatus.POSTED, NOW)
    record_returned(writing.ledger, letter_number(key_of(0)), reason, by="Clerk A", now=NOW)
    assert statuses(writing) == ["returned", "listed", "listed"]
    assert writing.states_of([0, 1]) == [("bounced", None), ("accepted", None)]
    blind = writing.blind(0, channel=LETTER)
    with writing.ledger.reading() as connection:
        closed = suppressions.suppressed(connection, [blind], "letter", "care")
    says_nothing = reason in (ReturnReason.UNCLAIMED, ReturnReason.OTHER)
    assert closed == ({} if says_nothing else {blind: "hard_bounce"})
    with pytest.raises(Refused, match="came back before"):
        record_returned(writing.ledger, letter_number(key_of(0)), reason, by="Clerk A", now=NOW)


def test_who_wants_no_more_letters_gets_none_of_this_kind(writing: Clinic) -> None:
    with pytest.raises(Refused, match="is listed"):
        record_stopped(writing.ledger, letter_number(key_of(0)), by="Clerk A", now=NOW)
    with writing.ledger.begin() as connection:
        letter_list.move(connection, [key_of(0)], (LetterStatus.LISTED,), LetterStatus.POSTED, NOW)
    for _ in range(2):
        record_stopped(writing.ledger, letter_number(key_of(0)), by="Clerk A", now=NOW)
    person = "p" + "0" * 16
    with writing.ledger.reading() as connection:
        for purpose, said in (("education", Decision.DENY), ("marketing", Decision.DENY), ("care", Decision.PERMIT)):
            assert consent.decide(connection, [person], purpose, "letter")[person][0] is said
    assert writing.states_of([0]) == [("delivered", None)]  # whoever calls with its number has it
    assert statuses(writing)[0] == "posted"


def test_a_letter_that_was_never_printed_cannot_come_back(writing: Clinic) -> None:
    with pytest.raises(Refused, match="is listed"):
        record_returned(writing.ledger, letter_number(key_of(1)), ReturnReason.MOVED, by="Clerk A", now=NOW)
    with pytest.raises(Refused, match="no number of a letter"):
        record_returned(writing.ledger, "0000-0000-0001", ReturnReason.MOVED, by="Clerk A", now=NOW)


def test_staging_writes_to_our_own_address(ledger_url: str, tmp_path: Path) -> None:
    own = "1 Demonstration Road, Qinghe"
    clinic = Clinic.open(ledger_url, tmp_path / "project", "http://127.0.0.1:9", delivery={"staging_allow": [own]})
    clinic.admit([0], channels=("letter",))
    clinic.plan([0], channel=LETTER)
    clinic.dispatch(channel=LETTER, mode=DeliveryMode.STAGING)
    with clinic.ledger.reading() as connection:
        words = letter_list.words_of(connection, clinic.vault, [key_of(0)])[key_of(0)]
    assert words.lines == (name_of(0), own)
    assert "[staging]" in words.html
    assert home_of(0).line not in words.html
    clinic.ledger.engine.dispose()


# ------------------------------------------------------------------------------------------- the last look before paper
def wish(clinic: Clinic, number: int, kind: WishKind, value: str, at: datetime) -> None:
    with clinic.ledger.begin() as connection:
        wishes.record(connection, [WishEvent(f"p{number:016x}", kind, value, at, "preferences", "link")], NOW)


def look(clinic: Clinic, *died: int) -> dict[str, str]:
    with clinic.ledger.begin() as connection:
        keys = [key_of(number) for number in range(3)]
        return last_look(clinic, *died).closed(connection, LETTER, keys, clinic.as_of + timedelta(days=2))


def test_nobody_who_has_died_gets_a_letter(printing: Clinic, tmp_path: Path) -> None:
    printer = replace(room(printing, tmp_path), look=last_look(printing, 1))
    report = printer.print_day(today(printing), again=False, now=NOW)
    assert report.withheld.gates == {"deceased": 1}
    assert sum(stack.letters for stack in report.stacks) == 2
    assert statuses(printing) == ["printed", "withheld", "printed"]
    assert printing.states == {"accepted": 2, "dropped": 1}


def publish_people(warehouse: Warehouse, deceased: dict[str, bool | None]) -> None:
    draft = warehouse.begin("one", NOW)
    people = pa.table({"person_id": list(deceased), "deceased": list(deceased.values())})
    pq.write_table(people, draft.table("person"))
    warehouse.publish(draft, {})


def test_deaths_are_those_of_the_current_snapshot(tmp_path: Path) -> None:
    people = [f"p{number:016x}" for number in range(3)]
    warehouse = Warehouse(tmp_path)
    assert set(died_by(warehouse)(people)) == set()
    publish_people(warehouse, {people[0]: True, people[1]: None, people[2]: False})
    assert set(died_by(warehouse)(people)) == {people[0]}
    assert set(died_by(warehouse)(people[1:])) == set()


def test_what_was_wished_since_planning_counts_before_printing(writing: Clinic) -> None:
    definition = writing.project.templates / "prevention" / "heart" / "message.yaml"
    definition.write_text(definition.read_text("utf-8") + "topics: [heart_health]\n", "utf-8")
    later = writing.as_of + timedelta(days=1)
    assert look(writing) == {}
    wish(writing, 0, WishKind.TOPICS_OFF, "heart_health", later)
    wish(writing, 1, WishKind.TOPICS_OFF, "joints", later)
    wish(writing, 2, WishKind.PACE, "weekly", later)
    assert look(writing) == {key_of(0): "topic_off"}
    writing.plan([2], channel=LETTER, run_id="run-2", message_key=[key_of(9)], occurrence="another")
    with writing.ledger.begin() as connection:  # another one has left for whoever wants one a week
        connection.execute(message.update().where(message.c.message_key == key_of(9)).values(state="accepted"))
    assert look(writing) == {key_of(0): "topic_off", key_of(2): "own_pace"}
    assert look(writing, 0)[key_of(0)] == "deceased"
