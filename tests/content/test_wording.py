"""How letters begin, and how dates, numbers and units read in each language."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alongside.content import salutation
from alongside.content.formats import FormatError, Formats
from alongside.model.enums import Locale

ZH = Formats(Locale.ZH_CN, ZoneInfo("Asia/Shanghai"))
EN = Formats(Locale.EN, ZoneInfo("Asia/Shanghai"))


@pytest.mark.parametrize(
    ("name", "gender", "chinese", "english"),
    [
        ("张伟", "female", "张女士，您好", "Dear Ms Zhang"),
        ("李明", "male", "李先生，您好", "Dear Mr Li"),
        ("张伟", "unknown", "张伟，您好", "Dear 张伟"),
        ("欧阳娜", "female", "欧阳女士，您好", "Dear Ms Ouyang"),
        ("欧阳", "male", "欧阳先生，您好", "Dear Mr Ouyang"),
        ("司马相如", "male", "司马先生，您好", "Dear Mr Sima"),
        ("王", "female", "王女士，您好", "Dear Ms Wang"),
        ("王", None, "王，您好", "Dear 王"),
        ("吕 布", "male", "吕先生，您好", "Dear Mr Lü"),
        ("陈林美华", "female", "陈林美华女士，您好", "Dear 陈林美华"),
        ("买买提·艾力", "male", "买买提·艾力先生，您好", "Dear 买买提·艾力"),
        ("鿍某", "male", "鿍某先生，您好", "Dear 鿍某"),
        ("Wei Zhang", "female", "Wei Zhang 女士，您好", "Dear Wei Zhang"),
        ("Xiaomei Zhang", "female", "Xiaomei Zhang 女士，您好", "Dear Ms Zhang"),
        ("Zhang Xiaomei", "female", "Zhang Xiaomei 女士，您好", "Dear Ms Zhang"),
        ("ZHANG Wei", "male", "ZHANG Wei 先生，您好", "Dear Mr Zhang"),
        ("Smith, John", "male", "Smith, John 先生，您好", "Dear Mr Smith"),
        ("John Smith", "male", "John Smith 先生，您好", "Dear Mr Smith"),
        ("John Smith", "other", "John Smith，您好", "Dear John Smith"),
        ("María José García López", "female", "María José García López 女士，您好", "Dear María José García López"),
        ("Ｊｏｈｎ　Ｓｍｉｔｈ", "male", "John Smith 先生，您好", "Dear Mr Smith"),
        ("O'Neil", "male", "O'Neil 先生，您好", "Dear O'Neil"),
        ("  张\u200b伟\n", "female", "张女士，您好", "Dear Ms Zhang"),
        (None, "female", "您好", "Hello"),
        ("", "male", "您好", "Hello"),
        ("13900000000", "male", "您好", "Hello"),
        ("张伟2", "male", "您好", "Hello"),
        ("---", None, "您好", "Hello"),
        ("x" * 200, None, "您好", "Hello"),
    ],
)
def test_salutation(name: str | None, gender: str | None, chinese: str, english: str) -> None:
    assert salutation(name, gender, Locale.ZH_CN) == chinese
    assert salutation(name, gender, "en") == english


@given(st.one_of(st.none(), st.text(max_size=80)), st.sampled_from(["male", "female", "other", None]))
def test_any_name_gives_one_short_line(name: str | None, gender: str | None) -> None:
    for locale in Locale:
        line = salutation(name, gender, locale)
        assert line == line.strip()
        assert len(line.splitlines()) == 1
        assert len(line) < 80


def test_dates_are_read_in_the_hospitals_zone() -> None:
    late = "2026-02-28T16:30:00"  # 00:30 on 1 March in Shanghai
    assert (ZH.as_date(late), EN.as_date(late)) == ("2026年3月1日", "1 March 2026")
    assert EN.as_date("2026-02-28T16:30:00+00:00") == "1 March 2026"
    assert (ZH.as_date("2028-02-29", "weekday"), EN.as_date("2028-02-29", "weekday")) == (
        "2月29日（星期二）",
        "Tuesday, 29 February",
    )
    assert (ZH.as_date("2026-03-01", "short"), ZH.as_time(late), EN.as_time("2026-03-01T09:05:00+08:00")) == (
        "3月1日",
        "00:30",
        "09:05",
    )


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (1234.5, None, "1,234.5"),
        (0.1 + 0.2, None, "0.3"),
        (6.45, 1, "6.5"),
        (-0.0, None, "0"),
        ("7", 2, "7.00"),
        (-2, 0, "-2"),
    ],
)
def test_numbers(value: float | str, digits: int | None, text: str) -> None:
    assert EN.number(value, digits) == text


def test_quantities_agree_with_their_number() -> None:
    assert [EN.quantity(n, "d") for n in (1, 2, 0)] == ["1 day", "2 days", "0 days"]
    assert (ZH.quantity(3, "wk"), ZH.quantity(6.5, "%"), EN.quantity(128, "mm[Hg]")) == ("3 周", "6.5%", "128 mmHg")
    assert (EN.plural(1, "visit", "visits"), EN.plural(2, "visit", "visits")) == ("visit", "visits")


@pytest.mark.parametrize("value", ["soon", "张三丰", 5, True, float("inf"), None, "2026-13-01"])
def test_what_does_not_fit_is_refused_without_repeating_it(value: object) -> None:
    for use in (EN.as_date, EN.number):
        if use == EN.number and value == 5:
            continue
        with pytest.raises(FormatError) as caught:
            use(value)
        assert str(value) not in str(caught.value) or value is None
    with pytest.raises(FormatError, match="furlong"):
        EN.quantity(1, "furlong")


def test_an_unknown_department_is_called_by_no_wrong_name() -> None:
    filters = EN.filters()
    assert filters["department"]("cardiology") == "the cardiology clinic"
    assert filters["department"]("astrology") == filters["department"](None) == "our clinic"
    assert ZH.filters()["department"]("obstetrics") == "产科"
