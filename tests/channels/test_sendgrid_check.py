"""Looking at all recipients of a letter at once says what looking at each of them says."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from alongside.channels.base import Addressee
from alongside.channels.sendgrid import SendGrid, check_addressee
from tests.fakes import letter

ADDRESSES = st.one_of(
    st.sampled_from(["wei@hospital.cn", "a@b.co", "x" * 64 + "@b.co", "o'neil+tag@mail.example.org"]),
    st.sampled_from(["", "a@b", "a b@c.de", "a@b.co\n", "\na@b.co", "张@b.co", "x" * 65 + "@b.co", "a@b.co;c@d.ef"]),
    st.text(max_size=12).map(lambda text: f"{text}@example.com"),
    st.integers(200, 300).map(lambda count: "a@" + "b." * (count // 2) + "cn"),
)
URLS = st.sampled_from(["https://hospital.example/u/1", "https://hospital.example/u/1\r\nBcc: x", ""])
VALUES = st.sampled_from(["张女士，您好", "", "x" * 2_000, "汉" * 3_333, "汉" * 3_400])
RECIPIENTS = st.builds(
    Addressee,
    st.sampled_from(["k1", "k\n2", "k" * 32]),
    ADDRESSES,
    st.dictionaries(st.sampled_from(["-s01-", "-s02-", "-s03-"]), VALUES, max_size=3),
    URLS,
)


@given(st.lists(RECIPIENTS, min_size=2, max_size=5))
def test_all_at_once_and_one_by_one_agree(recipients: list[Addressee]) -> None:
    everybody = replace(letter(1), addressees=tuple(recipients))
    one_by_one = {one.key: why for one in recipients if (why := check_addressee(one, everybody.batch_id))}
    assert SendGrid("key", "http://127.0.0.1:1").check(everybody) == one_by_one
