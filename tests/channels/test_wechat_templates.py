"""Registered templates of a WeChat account: what a text is, and whether its values have their forms."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alongside.channels.wechat_templates import FORMS, Misfit, Template, fill, type_of
from alongside.sandbox.wechat.values import fits
from alongside.settings.channels import WeChatTemplate

VISIT = Template("visit-template", "到院提醒", {"thing1": "医院", "time2": "到院时间"})
REFILL = Template("refill-template", "续方提醒", {"thing1": "医院", "phrase2": "您的处方"})
KNOWN = (VISIT, REFILL)
TEXT = "到院提醒\n医院：青禾市示范医院\n到院时间：2026年3月10日 08:00"


def test_a_text_is_read_into_the_fields_of_its_template() -> None:
    found = fill(KNOWN, TEXT)
    assert found.template is VISIT
    assert found.values == {"thing1": "青禾市示范医院", "time2": "2026年3月10日 08:00"}
    assert found.url == ""


def test_the_last_line_may_be_the_link_that_opens_on_a_tap() -> None:
    assert fill(KNOWN, TEXT + "\nhttps://hospital.example/a?b=c\n").url == "https://hospital.example/a?b=c"


def test_blank_lines_and_either_colon_do_not_matter() -> None:
    assert fill(KNOWN, "\n到院提醒\n\n医院: 青禾\n到院时间:08:00\n").values == {"thing1": "青禾", "time2": "08:00"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        (TEXT.replace("到院提醒", "到院通知"), "no template is registered under the title"),
        (TEXT.replace("到院时间", "时间"), "line 3 begins with '时间', registered is '到院时间'"),
        ("到院提醒\n医院：青禾", "'到院时间' is missing"),
        (TEXT + "\n电话：1", "'电话' is not registered"),
        (TEXT + "\n请按时到院", "line 4 is not 'label: value'"),
        ("到院提醒\n到院时间：08:00\n医院：青禾", "line 2 begins with '到院时间', registered is '医院'"),
    ],
)
def test_a_text_that_is_not_registered_says_where_it_differs(text: str, words: str) -> None:
    with pytest.raises(Misfit, match=words) as caught:
        fill(KNOWN, text)
    assert caught.value.of_value is False


def test_a_value_that_does_not_fit_is_the_recipients_and_is_not_repeated() -> None:
    with pytest.raises(Misfit, match=r"thing1 \(医院\) takes at most 20 characters") as caught:
        fill(KNOWN, TEXT.replace("青禾市示范医院", "青" * 21))
    assert caught.value.of_value is True
    assert "青" not in caught.value.what


GOOD = {
    "thing": ["青" * 20, "A short walk today", "禁食，请问医生！"],
    "phrase": ["快到期了", "可能已到期"],
    "character_string": ["A" * 32, "P-2026/03#1", "Your doctor says when to fast."],
    "name": ["王小明", "欧阳·娜娜", "Anna Smith", "A" * 20],
    "number": ["1", "3.14", "9" * 32],
    "amount": ["¥12.50", "12元", "$1234567890"],
    "phone_number": ["+86-400-000-0000", "12345678901234567"],
    "time": ["08:30", "23:59:59", "2026年3月10日 08:00", "2026-03-10 08:00", "3月10日 08:00", "08:00~09:30"],
    "date": ["2026年3月10日", "2026-03-10", "2026/3/1", "3月10日", "2026年3月10日 08:00", "2026年3月1日~2026年3月2日"],
}
BAD = {
    "thing": ["", "青" * 21, "x" * 21],
    "phrase": ["", "快到期了吗请", "到期1", "soon"],
    "character_string": ["", "A" * 33, "编号1"],
    "name": ["", "青" * 11, "A" * 21, "R2D2"],
    "number": ["", "1,000", "-1", "9" * 33, "1.", "一"],
    "amount": ["", "12 元", "1" * 11, "USD 1", "1.234"],
    "phone_number": ["", "+86 400 000 0000", "1" * 18, "电话"],
    "time": ["", "8.30", "24:00", "2026年3月10日", "08:00 - 09:00", "2026-03/10 08:00", "08:00~"],
    "date": ["", "08:00", "10.3.26", "2026年3月10日08:00", "2026-3/1", "tomorrow"],
}


@pytest.mark.parametrize(("kind", "value"), [(kind, value) for kind, values in GOOD.items() for value in values])
def test_what_a_field_takes(kind: str, value: str) -> None:
    assert FORMS[kind][0].fullmatch(value)
    assert fits(f"{kind}1", value), "the stand-in, which was written apart, agrees"


@pytest.mark.parametrize(("kind", "value"), [(kind, value) for kind, values in BAD.items() for value in values])
def test_what_a_field_does_not_take(kind: str, value: str) -> None:
    assert not FORMS[kind][0].fullmatch(value)


@given(
    kind=st.sampled_from(sorted(FORMS)),
    value=st.text(alphabet="0123456789:-/.~ 年月日元¥+()青禾医院abcXYZ!", min_size=1, max_size=34),
)
def test_the_vendor_takes_whatever_we_think_fits(kind: str, value: str) -> None:
    if FORMS[kind][0].fullmatch(value):
        assert fits(f"{kind}12", value)


def test_the_configuration_knows_the_types_that_are_known_here() -> None:
    def configured(*fields: tuple[str, str]) -> WeChatTemplate:
        written = [{"name": name, "label": label} for name, label in fields]
        return WeChatTemplate.model_validate({"template_id": "a_template", "title": "到院提醒", "fields": written})

    for kind in FORMS:
        assert type_of(f"{kind}12") == kind
        assert configured((f"{kind}1", "医院")).labels == {f"{kind}1": "医院"}
    twice = (("thing1", "一"), ("thing2", "一")), (("thing1", "一"), ("thing1", "二"))
    for fields in ((("keyword1", "医院"),), (("thing", "医院"),), (("thing1", ""),), (("thing1", "a:b"),), (), *twice):
        with pytest.raises(ValueError, match=r"WeChatTemplate"):
            configured(*fields)


def test_the_vendors_own_way_of_writing_a_template_is_recognised() -> None:
    assert VISIT.same_as("医院：{{thing1.DATA}}\n到院时间：{{ time2.DATA }}\n")
    assert VISIT.same_as(VISIT.content)
    assert not VISIT.same_as("医院:{{thing1.DATA}}\n到院时间:{{date2.DATA}}")
