"""Postal addresses: what letters arrive at, one form for the vault, the index and the envelope."""

from __future__ import annotations

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alongside.model.postal import PostalAddress, envelope_lines, postal_key, postal_rule
from alongside.patients import details
from tests.patients.world import NOW, Row, World, patient

WANG = {"full_name": "王小明", "birth_date": "1980-05-06", "gender": "male", "mrn": "P7"}
HOME: Row = {"address_line": "示范路12号", "district": "东湖区", "city": "青禾市"}
ABROAD: Row = {"address_line": "1 Sample St", "city": "Salem", "state": "MA", "postal_code": "01970", "country": "us"}


def _duck() -> duckdb.DuckDBPyConnection:
    duck = duckdb.connect()
    details.prepare(duck, "CN", NOW, "Asia/Shanghai")
    return duck


DUCK = _duck()


def told(world: World, *rows: Row) -> tuple[str, str | None]:
    """State in the snapshot, and what the vault keeps; snapshot and vault agree on the index."""
    world.resolve(*rows)
    (row,) = world.persons()
    with world.ledger.reading() as connection:
        contact = world.vault.address_book(connection, [row["person_id"]])[row["person_id"]]
    expected = world.vault.blind_index("postal", contact.postal) if contact.postal else None
    assert row["postal_blind"] == expected
    return row["postal_state"], contact.postal


@pytest.mark.parametrize(
    ("written", "state", "kept"),
    [
        (HOME, "valid", "CN\n\n\n青禾市\n东湖区\n示范路12号"),
        ({**HOME, "postal_code": "９９９００１"}, "valid", "CN\n999001\n\n青禾市\n东湖区\n示范路12号"),
        ({**HOME, "postal_code": "99900"}, "invalid", None),
        ({"address_line": "青禾市东湖区示范路12号"}, "valid", "CN\n\n\n\n\n青禾市东湖区示范路12号"),
        ({**HOME, "address_line": "青禾市东湖区示范路12号"}, "valid", "CN\n\n\n青禾市\n东湖区\n示范路12号"),
        ({**HOME, "address_line": "  示范路　１２号 "}, "valid", "CN\n\n\n青禾市\n东湖区\n示范路 12号"),
        ({"address_line": "示范路12号"}, "invalid", None),
        ({**HOME, "address_line": "不详"}, "invalid", None),
        ({**HOME, "address_line": "N/A"}, "invalid", None),
        ({**HOME, "address_line": "——"}, "invalid", None),
        ({**HOME, "city": "无", "district": None}, "invalid", None),
        ({**HOME, "country": "XX"}, "invalid", None),
        ({"city": "青禾市"}, "missing", None),
        ({"city": "青禾市", "address_line": "  "}, "missing", None),
        ({}, "missing", None),
        (ABROAD, "valid", "US\n01970\nMA\nSalem\n\n1 Sample St"),
        ({**ABROAD, "postal_code": None}, "invalid", None),
        ({**ABROAD, "postal_code": "970"}, "invalid", None),
        ({**ABROAD, "city": None}, "invalid", None),
        ({**ABROAD, "country": "HK", "postal_code": None}, "valid", "HK\n\nMA\nSalem\n\n1 Sample St"),
        ({**ABROAD, "address_line": "x" * 200}, "invalid", None),
    ],
)
def test_what_letters_arrive_at(small_world: World, written: Row, state: str, kept: str | None) -> None:
    assert told(small_world, patient("a", **WANG, **written)) == (state, kept)


def test_all_lines_come_from_one_record(small_world: World) -> None:
    """The newest record moves house; the line of one address and the city of another would be nobody's."""
    old = patient("a", **WANG, **HOME, extract_date="2026-01-01")
    new = patient("b", "crm", mrn="P7", **{**ABROAD, "city": None}, extract_date="2026-02-01")
    assert told(small_world, old, new) == ("valid", "CN\n\n\n青禾市\n东湖区\n示范路12号")
    moved = patient("b", "crm", mrn="P7", **ABROAD, extract_date="2026-02-02")
    assert told(small_world, old, moved)[1] == "US\n01970\nMA\nSalem\n\n1 Sample St"


def test_a_corrected_postal_code_is_another_address(small_world: World) -> None:
    """So that a letter that came back closes the wrong one only."""
    told(small_world, patient("a", **WANG, **HOME, postal_code="999001"))
    wrong = small_world.persons()[0]["postal_blind"]
    told(small_world, patient("a", **WANG, **HOME, postal_code="999002"))
    assert small_world.persons()[0]["postal_blind"] != wrong


@given(st.text(max_size=40))
@settings(max_examples=300, deadline=None)
def test_sql_and_python_compare_addresses_alike(text: str) -> None:
    if "\0" not in text:
        assert DUCK.execute("SELECT postal_key(?)", [text]).fetchone() == (postal_key(text),)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1 Sample St.", "1 SAMPLE ST"),
        ("示范路 12号", "示范路12号"),
        ("Straße 5-7", "straße 57"),
        ("ΟΔΟΣ ΑΘΗΝΑΣ", "οδοσ αθηνασ"),
        ("УЛИЦА Мира, 5", "улица мира 5"),
    ],
)
def test_spellings_of_one_address_share_their_key(one: str, other: str) -> None:
    keys = {postal_key(PostalAddress("CN", line=line).kept) for line in (one, other)}
    assert len(keys) == 1


@pytest.mark.parametrize(
    ("address", "name", "lines"),
    [
        (
            PostalAddress("CN", "999001", "示范省", "青禾市", "东湖区", "示范路12号"),
            "王小明",
            ["999001", "示范省青禾市东湖区", "示范路12号", "王小明 收"],
        ),
        (PostalAddress("CN", line="青禾市示范路12号"), "Anna Novak", ["青禾市示范路12号", "Anna Novak"]),
        (
            PostalAddress("US", "01970", "MA", "Salem", "Essex County", "1 Sample St"),
            "Anna Novak",
            ["Anna Novak", "1 Sample St", "Salem, MA 01970", "UNITED STATES"],
        ),
        (PostalAddress("DE", "01067", "", "Dresden", "", "Weg 1"), "Anna Novak",
         ["Anna Novak", "Weg 1", "01067 Dresden", "GERMANY"]),
        (PostalAddress("US", "", "", "Salem", "", "1 Sample St"), "Anna Novak",
         ["Anna Novak", "1 Sample St", "Salem", "UNITED STATES"]),
        (PostalAddress("", line="1 Demonstration Road, Qinghe"), "Anna Novak",
         ["Anna Novak", "1 Demonstration Road, Qinghe"]),
    ],
)  # fmt: skip
def test_an_envelope_says_what_its_country_wants(address: PostalAddress, name: str, lines: list[str]) -> None:
    assert envelope_lines(address, name, "CN") == lines
    assert PostalAddress.read(address.kept) == address


def test_at_home_the_country_is_left_out() -> None:
    assert envelope_lines(PostalAddress("US", "01970", "MA", "Salem", "", "1 St"), "Ann", "US")[-1] == "Salem, MA 01970"


@pytest.mark.parametrize("country", ["", "X", "XX", "cn1", "中国"])
def test_what_is_no_country_has_no_rule(country: str) -> None:
    assert postal_rule(country) is None
