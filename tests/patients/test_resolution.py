"""Who is one person and who is not, told once and remembered."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from alongside.ledger import people, schema
from alongside.model.ids import message_key
from alongside.patients import persistence
from alongside.patients.grouping import Edge, untangle
from tests.conftest import ROOT
from tests.patients.world import NOW, Row, World, patient

WANG = {"full_name": "王小明", "birth_date": "1980-05-06", "gender": "male"}
CARD = "11010519491231002X"
OTHER_CARD = "110105194912310038"
LATER = NOW + timedelta(days=1)


def _others(count: int = 60) -> list[Row]:
    """Strangers, so that the hospital is not a village."""
    surnames, given = "赵钱孙李周吴郑", "甲乙丙丁戊己庚辛壬癸"
    return [
        patient(
            f"x{number}",
            full_name=surnames[number % 7] + given[number % 10] + given[number // 10],
            birth_date=f"{1930 + number}-0{1 + number % 9}-1{number % 10}",
            phone=f"1990000{number:04}",
        )
        for number in range(count)
    ]


@pytest.mark.parametrize(
    ("one", "two"),
    [
        pytest.param(
            {**WANG, "national_id": CARD},
            {"full_name": "王晓明", "birth_date": "1980-05-06", "national_id": CARD.lower()},
            id="national id",
        ),
        pytest.param({**WANG, "mrn": "P7"}, {"full_name": "王小明", "mrn": " P7"}, id="medical record number"),
        pytest.param({**WANG, "mrn": "P7"}, {"mrn": "P7"}, id="number of a nameless record"),
        pytest.param({**WANG, "phone": "19900001234"}, {**WANG, "phone": "＋86 199-0000-1234"}, id="telephone"),
        pytest.param({**WANG, "email": "w@example.com"}, {**WANG, "email": "W@Example.com"}, id="e-mail"),
        pytest.param(
            {**WANG, "phone": "19900001234", "email": "w@example.com"},
            {**WANG, "full_name": "王小朋", "phone": "19900001234", "email": "w@example.com"},
            id="mistyped name",
        ),
        pytest.param(
            {**WANG, "phone": "19900001234"},
            {**WANG, "birth_date": "1980-06-05", "phone": "19900001234"},
            id="day and month exchanged",
        ),
        pytest.param(
            {**WANG, "phone": "19900009999"},
            {**WANG, "phone": "19900001234"},
            id="new telephone, rare name and birth date",
        ),
        pytest.param(
            {"full_name": "Anna Maria Haverkoorn", "birth_date": "1990-01-02", "email": "a@example.org"},
            {"full_name": "HAVERKOORN Anna Maria", "birth_date": "1990-01-02", "email": "a@example.org"},
            id="three names in another order",
        ),
        pytest.param(
            {"full_name": "凤", "birth_date": "1960-01-02", "phone": "19900001234"},
            {"full_name": "凤", "birth_date": "1960-01-02", "phone": "19900001234"},
            id="name of one character",
        ),
    ],
)
def test_one_person_in_two_systems(small_world: World, one: Row, two: Row) -> None:
    small_world.resolve(*_others(), patient("a", **one), patient("b", "crm", **two))
    assert frozenset("ab") in small_world.groups()


@pytest.mark.parametrize(
    ("one", "two"),
    [
        pytest.param(
            {**WANG, "phone": "19900001234", "email": "f@example.com"},
            {"full_name": "李娜", "birth_date": "1982-07-08", "phone": "19900001234", "email": "f@example.com"},
            id="couple",
        ),
        pytest.param(
            {**WANG, "email": "f@example.com"},
            {"full_name": "王小红", "birth_date": "2015-05-06", "email": "f@example.com"},
            id="father and child",
        ),
        pytest.param(
            {"full_name": "王小明", "birth_date": "2015-05-06", "gender": "male", "phone": "19900001234"},
            {"full_name": "王小亮", "birth_date": "2015-05-06", "gender": "male", "phone": "19900001234"},
            id="twins",
        ),
        pytest.param(
            {**WANG, "phone": "19900001234"},
            {"full_name": "王小红", "birth_date": "1980-05-06", "gender": "female", "phone": "19900001234"},
            id="grown-up twins",
        ),
        pytest.param(
            {**WANG, "national_id": CARD, "phone": "19900001234"},
            {**WANG, "national_id": OTHER_CARD, "phone": "19900001234"},
            id="two valid national ids",
        ),
        pytest.param(
            {**WANG, "national_id": CARD},
            {"full_name": "李娜", "birth_date": "1990-01-01", "national_id": CARD},
            id="somebody else's card",
        ),
        pytest.param({"full_name": "王小明"}, {"full_name": "王小明"}, id="a name alone"),
        pytest.param(
            {**WANG, "national_id": "000000000000000000"},
            {"full_name": "李娜", "birth_date": "1980-05-06", "national_id": "000000000000000000"},
            id="number that means unknown",
        ),
        pytest.param(
            {**WANG, "email": "p1@fictional.example"},
            {**WANG, "full_name": "李娜", "email": "p1@fictional.example"},
            id="invented address",
        ),
        pytest.param({}, {}, id="empty records"),
    ],
)
def test_two_people(small_world: World, one: Row, two: Row) -> None:
    small_world.resolve(*_others(), patient("a", **one), patient("b", "crm", **two))
    assert {frozenset("a"), frozenset("b")} <= small_world.groups()


def test_a_record_without_a_telephone_does_not_match_a_namesake_of_its_owner(small_world: World) -> None:
    one, two = (
        {"phone": "19900005555", "email": "one@example.com"},
        {"phone": "19900006666", "email": "two@example.com"},
    )
    small_world.resolve(
        *_others(),
        patient("h1", "his", **WANG, **one, mrn="P1"),
        patient("h2", "his", **WANG, **two, mrn="P2"),
        patient("l2", "lis", **WANG, mrn="P2"),
        patient("c1", "crm", **WANG, **one),
    )
    assert {frozenset(("h1", "c1")), frozenset(("h2", "l2"))} <= small_world.groups()


def test_three_systems_chain_into_one_person_of_the_most_trusted(small_world: World) -> None:
    report = small_world.resolve(
        patient("u", "app_events", full_name="王小明", birth_date="1980-05-06", phone="19900001234"),
        patient("c", "crm", **WANG, phone="19900001234", mrn="P7"),
        patient("h", "his", **WANG, mrn="P7"),
    )
    assert small_world.groups() == {frozenset("uch")}
    assert (report.records, report.persons, report.minted, report.merged) == (3, 1, 1, 0)
    with small_world.ledger.begin() as connection:
        minted_from = people.person_of(connection, people.alias_of(small_world.ledger.info.secret, "his", "h"))
        own = connection.execute(
            sa.select(schema.person_alias.c.person_id).where(schema.person_alias.c.source == "his")
        ).scalar_one()
    assert minted_from == own


def test_a_front_desk_s_number_makes_nobody_one(small_world: World) -> None:
    # names one character apart and birth dates one day apart: otherwise these would be typing errors
    crowd = [
        patient(
            f"d{number}",
            full_name="王小" + chr(0x4E00 + number),
            birth_date=f"1980-0{5 + number // 28}-{1 + number % 28:02}",
            phone="010-88887777",
        )
        for number in range(50)
    ]
    small_world.resolve(*crowd)
    assert len(small_world.groups()) == 50


def test_running_again_changes_nothing(world: World) -> None:
    rows = [*_others(20), patient("a", **WANG, mrn="P7"), patient("b", "crm", **WANG, mrn="P7")]
    first = world.resolve(*rows)
    before = (world.person_map(), _dump(world))
    again = world.again(LATER)
    assert (again.new_records, again.changed_records, again.pairs, again.minted, again.merged) == (0, 0, 0, 0, 0)
    assert again.persons == first.persons == 21
    assert (world.person_map(), _dump(world)) == before


def _dump(world: World) -> list[object]:
    with world.ledger.begin() as connection:
        return [
            sorted(map(str, connection.execute(sa.select(table)).all()))
            for table in (schema.person, schema.person_alias, schema.vault_person, schema.vault_index)
        ]


def test_the_order_of_rows_does_not_matter(small_world: World) -> None:
    rows = [*_others(20), patient("a", **WANG, mrn="P7"), patient("b", "crm", **WANG, mrn="P7")]
    small_world.resolve(*rows)
    first = small_world.person_map()
    with small_world.ledger.begin() as connection:
        for table in (schema.person_alias, schema.person, schema.vault_person, schema.vault_index):
            connection.execute(table.delete())
    small_world.resolve(*reversed(rows))
    assert small_world.person_map() == first


def test_a_new_record_joins_the_person_who_is_known(world: World) -> None:
    world.resolve(*_others(), patient("a", **WANG, phone="19900007777"))
    known = world.person_map()["his", "a"]
    report = world.resolve(
        *_others(),
        patient("a", **WANG, phone="19900007777"),
        patient("b", "crm", **WANG, phone="+8619900007777", email="w@example.com"),
        now=LATER,
    )
    assert world.person_map()["crm", "b"] == known
    assert (report.new_records, report.minted, report.merged) == (1, 0, 0)
    with world.ledger.begin() as connection:
        assert world.vault.address_book(connection, [known])[known].email == "w@example.com"
        assert world.vault.find(connection, "email", "w@example.com") == [known]
        assert world.vault.find(connection, "source:crm", "b") == [known]


def test_a_corrected_record_makes_two_known_people_one_and_no_second_message(world: World) -> None:
    apart = [
        patient("a", **WANG, mrn="P7"),
        patient("b", "crm", full_name="李娜", birth_date="1990-01-01", phone="19900007777"),
    ]
    world.resolve(*_others(), *apart)
    before = world.person_map()
    secret = world.ledger.info.secret
    keys = {message_key(secret, person, person, "c", "-", "once") for person in before.values()}
    joined = [apart[0], patient("b", "crm", **WANG, mrn="P7", phone="19900007777")]
    report = world.resolve(*_others(), *joined, now=LATER)
    after = world.person_map()
    assert (report.merged, report.changed_records) == (1, 1)
    assert after["his", "a"] == after["crm", "b"]
    survivor = after["crm", "b"]
    assert survivor in (before["his", "a"], before["crm", "b"])
    # nobody's id is new, so that no key is: what was sent under either id is found under the survivor
    assert {message_key(secret, person, person, "c", "-", "once") for person in after.values()} <= keys
    with world.ledger.begin() as connection:
        assert set(people.survivors(connection, [before["his", "a"], before["crm", "b"]]).values()) == {survivor}
        assert [event.kind for event in people.history(connection, survivor)] == ["merge"]
        other = ({before["his", "a"], before["crm", "b"]} - {survivor}).pop()
        assert world.vault.address_book(connection, [other])[other].phone == "+8619900007777"
        rows = connection.execute(sa.select(schema.vault_person.c.person_id)).scalars().all()
        assert other not in rows


def test_old_details_lead_to_nobody_after_a_change(small_world: World) -> None:
    small_world.resolve(patient("a", **WANG, phone="19900001234", email="old@example.com"))
    small_world.resolve(patient("a", **WANG, phone="19900001234", email="new@example.com"), now=LATER)
    with small_world.ledger.begin() as connection:
        assert small_world.vault.find(connection, "email", "old@example.com") == []
        assert len(small_world.vault.find(connection, "email", "new@example.com")) == 1


# ------------------------------------------------------------------------------------------------------------ review
TWINS = (
    patient("a", full_name="王小明", birth_date="2015-05-06", gender="male", phone="19900001234"),
    patient("b", "crm", full_name="王小亮", birth_date="2015-05-06", gender="male", phone="19900001234"),
)


def test_what_is_in_doubt_is_put_before_a_person_whose_word_stands(world: World) -> None:
    report = world.resolve(*_others(), *TWINS)
    assert report.to_review == 1
    with world.ledger.begin() as connection:
        (review,) = people.reviews(connection)
        people.decide_review(connection, (review.left_alias, review.right_alias), "same", "desk", LATER)
    world.again(LATER)
    assert frozenset("ab") in world.groups()
    with world.ledger.begin() as connection:
        people.decide_review(connection, (review.left_alias, review.right_alias), "different", "desk", LATER)
    assert world.again(LATER).to_review == 0
    assert {frozenset("a"), frozenset("b")} <= world.groups()
    # even when a later extract gives both the same number
    numbered = [
        patient(row["source_id"], **{k: v for k, v in row.items() if k != "source_id"}, mrn="P7") for row in TWINS
    ]
    world.resolve(*_others(), *numbered, now=LATER)
    assert {frozenset("a"), frozenset("b")} <= world.groups()
    with world.ledger.begin() as connection:
        book = world.vault.address_book(connection, set(world.person_map().values()))
    names = {key: book[person].name for key, person in world.person_map().items() if key[1] in "ab"}
    assert names == {("his", "a"): "王小明", ("crm", "b"): "王小亮"}


def test_two_who_were_called_different_are_not_joined_through_a_third(small_world: World) -> None:
    small_world.resolve(*_others(), *TWINS)
    with small_world.ledger.begin() as connection:
        (review,) = people.reviews(connection)
        people.decide_review(connection, (review.left_alias, review.right_alias), "different", "desk", NOW)
    both = patient("c", "app_events", full_name="王小明", birth_date="2015-05-06", phone="19900001234", mrn="P7")
    marked = [{**TWINS[0], "mrn": "P7"}, {**TWINS[1], "mrn": "P7"}]
    report = small_world.resolve(*_others(), *marked, both, now=LATER)
    assert report.contradictions == 1
    groups = small_world.groups()
    assert not any({"a", "b"} <= group for group in groups)
    assert any("c" in group and len(group) == 2 for group in groups)


def test_records_with_two_valid_national_ids_are_not_joined_through_a_third(small_world: World) -> None:
    report = small_world.resolve(
        patient("a", **WANG, mrn="P7", national_id=CARD),
        patient("b", "crm", **WANG, phone="19900001234", national_id=OTHER_CARD),
        patient("c", "app_events", **WANG, mrn="P7", phone="19900001234"),
    )
    assert report.contradictions == 1
    assert report.to_review == 1
    assert sum(len(group) for group in small_world.groups() if {"a", "b"} <= group) == 0


def test_the_strongest_edge_is_kept_when_a_group_contradicts_itself() -> None:
    numbers: dict[str, set[str]] = {"p1": {"n1"}, "p2": {"n2"}, "p3": set(), "p4": set()}
    edges = [Edge("p1", "p3", 0.99), Edge("p2", "p3", 2.0), Edge("p3", "p4", 0.999)]
    roots, refused = untangle(numbers, edges, {frozenset(("p2", "p4"))})
    assert roots["p2"] == roots["p3"]
    assert len({roots["p1"], roots["p2"], roots["p4"]}) == 3
    assert [(edge.left, edge.right) for edge in refused] == [("p3", "p4"), ("p1", "p3")]


# ------------------------------------------------------------------------------------------------- crashes and costs
class _Crash(RuntimeError):
    pass


@pytest.fixture(params=["_merge", "_seal", "_refresh_aliases"])
def crash_at(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    def crash(*_: object) -> None:
        raise _Crash

    monkeypatch.setattr(persistence, request.param, crash)
    return monkeypatch


def test_a_crash_while_saving_is_mended_by_the_next_run(world: World, crash_at: pytest.MonkeyPatch) -> None:
    rows = [*_others(20), patient("a", **WANG, mrn="P7"), patient("b", "crm", **WANG, mrn="P7", email="w@example.com")]
    with pytest.raises(_Crash):
        world.resolve(*rows)
    crash_at.undo()
    world.again()
    assert frozenset("ab") in world.groups()
    person = world.person_map()["his", "a"]
    with world.ledger.begin() as connection:
        assert world.vault.address_book(connection, [person])[person].email == "w@example.com"
        assert world.vault.find(connection, "mrn", "P7") == [person]
    assert world.again().changed_records == 0


def test_a_night_without_news_needs_no_splink(small_world: World, tmp_path: Path) -> None:
    small_world.resolve(*_others(), *TWINS)
    code = f"""
import sys
from pathlib import Path
from tests.patients.world import World, NOW
from alongside.ledger import Ledger
from alongside.ledger.vault import Vault
from alongside.settings.environment import Environment
from alongside.settings.hospital import HospitalSettings
from alongside.settings.yaml_source import read_model
root = Path({str(tmp_path)!r})
ledger = Ledger.open(f"sqlite:///{{root / 'small.db'}}")
settings = read_model(HospitalSettings, Path({str(ROOT)!r}) / "config" / "alongside.yaml")
world = World(root, ledger, Vault.open(ledger, Environment(vault_key=bytes(32))), settings)
print(world.again().persons, 'splink' in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == ["62", "False"]


def test_the_staging_map_is_private(small_world: World) -> None:
    small_world.resolve(patient("a", **WANG))
    file = small_world.clean.parent / "person_map.parquet"
    assert file.stat().st_mode & 0o077 == 0
