"""Addresses and names as clerks write them come out in one form, the same from SQL and from the libraries."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alongside.model import addresses
from alongside.model.ids import keyed_hash
from alongside.patients import details, keyed, scripts
from tests.patients.world import NOW, patient, write_clean


def _duck() -> duckdb.DuckDBPyConnection:
    duck = duckdb.connect()
    details.prepare(duck, "CN", NOW, "Asia/Shanghai")
    scripts.run(duck, "pairs_macros")
    return duck


DUCK = _duck()


def _ask(expression: str, *values: str | None) -> object:
    row = DUCK.execute(f"SELECT {expression}", list(values)).fetchone()
    assert row is not None
    return row[0]


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("19900001234", "+8619900001234"),
        ("１９９００００１２３４", "+8619900001234"),
        ("+86 199-0000-1234", "+8619900001234"),
        ("0086 199 0000 1234", "+8619900001234"),
        ("8619900001234", "+8619900001234"),
        ("(010) 8888 7777", "+861088887777"),
        ("010-88887777转123", "+861088887777;ext=123"),
        ("010-88887777 ext. 12", "+861088887777;ext=12"),
        ("+1 202 555 0123", "+12025550123"),
        ("1990000", None),
        ("00000000000", None),
        ("没有", None),
        ("", None),
        ("199" * 200, None),
    ],
)
def test_telephone_numbers(written: str, normal: str | None) -> None:
    assert addresses.normalise_phone(written) == normal
    plain = _ask("plain_phone(phone_digits(?))", written)
    assert plain in (None, normal)


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("A.B@Example.COM ", "a.b@example.com"),
        ("ａ.b@example.com", "a.b@example.com"),
        ("user@例子.example", "user@xn--fsqu00a.example"),
        ("o'b@mail.example", "o'b@mail.example"),
        ("a..b@example.com", None),
        ("a@b", None),
        ("a at example.com", None),
        ("a@@example.com", None),
        ("a@", None),
        ("张三@example.com", None),
        ("a@host.local", None),
        ("a@localhost", None),
        ("x" * 65 + "@example.com", None),
        ("无", None),
        ("", None),
    ],
)
def test_mail_addresses(written: str, normal: str | None) -> None:
    assert addresses.normalise_email(written) == normal
    assert _ask("plain_email(lower(trim(?)))", written) in (None, normal)


@given(
    local=st.from_regex(r"[a-z0-9]{1,70}([._+-][a-z0-9]{1,5}){0,2}", fullmatch=True),
    domain=st.sampled_from(
        ["example.com", "mail.example", "a-b.example.org", "x--y.example", "host.local", "a.test", "a.invalid"]
    ),
)
@settings(max_examples=60, deadline=None)
def test_a_plain_address_is_what_the_library_makes_of_it(local: str, domain: str) -> None:
    address = f"{local}@{domain}"
    plain = _ask("plain_email(lower(trim(?)))", address)
    assert plain in (None, addresses.normalise_email(address))
    if domain == "example.com" and len(local) <= 64:
        assert plain == address


@given(
    number=st.from_regex(r"1[3-9][0-9]{9}", fullmatch=True),
    form=st.sampled_from(["{0}", "+86{0}", "+86 {0}", "0086{0}", "{1}-{2}-{3}", "{1} {2} {3}", "（{1}）{2}{3}"]),
)
@settings(max_examples=60, deadline=None)
def test_a_mobile_number_is_what_the_library_makes_of_it(number: str, form: str) -> None:
    written = form.format(number, number[:3], number[3:7], number[7:])
    expected = addresses.normalise_phone(written)
    assert _ask("plain_phone(phone_digits(?))", written) == expected


@pytest.mark.parametrize(
    ("one", "two", "same", "close"),
    [
        ("王小明", "王 小明", True, False),
        ("王小明", "王小明先生", True, False),
        ("欧阳·娜", "欧阳娜", True, False),
        ("Ravi Tanemura", "TANEMURA, Ravi", True, False),
        ("Dr. Ana Sauvigné", "Ana Sauvigne", True, False),
        ("Ｌｉ Ｎａ", "li na", True, False),
        ("王小明", "王小红", False, True),
        ("王小明", "王明", False, True),
        ("Julia Fairbrook", "Julia Fairbrok", False, True),
        ("王小明", "李小红", False, False),
        ("伟", "磊", False, False),
        ("😀", "王小明", False, False),
        ("Maria Luz de la Cruz Haverkoorn", "Maria Haverkoorn", False, False),
    ],
)
def test_names(one: str, two: str, same: bool, close: bool) -> None:
    keys_equal, keys_close = DUCK.execute(
        "SELECT one = two, names_close(one, two) "
        "FROM (SELECT name_key_of(squeezed(?)) AS one, name_key_of(squeezed(?)) AS two)",
        [one, two],
    ).fetchall()[0]
    assert bool(keys_equal) is same
    assert bool(keys_close) is close


@pytest.mark.parametrize(
    ("one", "two", "close"),
    [
        ("1990-03-04", "1990-04-03", True),
        ("1990-03-04", "1990-03-05", True),
        ("1990-03-04", "1990-03-04", False),
        ("1990-03-04", "1991-04-05", False),
    ],
)
def test_birth_dates(one: str, two: str, close: bool) -> None:
    assert _ask("births_close(?::DATE, ?::DATE)", one, two) is close


@pytest.mark.parametrize(
    ("number", "valid"),
    [("11010519491231002X", True), ("110105194912310021", False), ("999-12-3456", False), (None, False)],
)
def test_a_national_id_is_checked_by_its_last_character(number: str | None, valid: bool) -> None:
    assert _ask("is_checked_id(?::VARCHAR)", number) is valid


def test_numbers_that_mean_unknown_are_no_numbers(tmp_path: Path) -> None:
    write_clean(
        tmp_path,
        patient=[
            patient(str(n), national_id=number)
            for n, number in enumerate(["000000000000", "１１０１０５１９４９１２３１００２x", "999-12-3456", "X", " "])
        ],
    )
    duck = _duck()
    duck.execute("CREATE TEMP TABLE trust (source VARCHAR, place INT)")
    file = tmp_path / "patient.parquet"
    duck.execute(
        "CREATE TEMP VIEW known AS SELECT source, source_id, source_id AS person_id, "
        f"TIMESTAMP '2026-01-01' AS since FROM '{file}'"
    )
    details.load(duck, file, "CN")
    found = duck.execute("SELECT national_id FROM detail ORDER BY source_id").fetchall()
    assert [row[0] for row in found] == [None, "11010519491231002X", "999123456", None, None]


@given(
    parts=st.lists(
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12), min_size=1, max_size=4
    )
)
@settings(max_examples=80, deadline=None)
def test_hashes_made_in_sql_are_the_project_s_own(parts: list[str]) -> None:
    duck = DUCK
    secret = b"a secret of thirty-two bytes....!"
    keyed.install_parts(duck)
    keyed.install(duck, "test_hash", secret)
    message = " || ".join("hash_part(?)" for _ in parts)
    assert _ask(f"test_hash({message}, 32)", *parts) == keyed_hash(secret, *parts)


@pytest.mark.parametrize(
    ("address", "fictional"),
    [
        ("p12@fictional.example", True),
        ("P12@Fictional.Example ", True),
        ("p12@a.fictional.example", True),
        ("p12@example.com", False),
        ("fictional.example@example.com", False),
        ("", False),
    ],
)
def test_invented_addresses_are_recognised(address: str, fictional: bool) -> None:
    assert addresses.is_fictional(address) is fictional
