"""Words by which a patient leaves, in a text message that says nothing else.

Sources: the keywords that carriers and Twilio honour (STOP and its kin, 47 CFR 64.1200(a)(10)), and those of Chinese
operators (R, TD, T and 退订); besides, what people write who take 拒收请回复R at its word.
"""

from __future__ import annotations

import re
import unicodedata

_STOP = frozenset(
    {
        *("stop", "stopall", "stop all", "unsubscribe", "cancel", "end", "quit", "revoke", "optout", "opt out"),
        *("r", "td", "t", "退订", "退訂", "拒收", "取消订阅", "取消訂閱", "不要再发", "不要再发了", "别再发了"),
        *("回复r", "拒收r", "回复td", "回复t", "退订r", "请退订", "我要退订", "退订短信", "不收", "别发了", "不要发了"),
        *("请不要再发", "请不要再发了", "请勿再发", "please stop", "unsubscribe me", "no more messages"),
    }
)
_AROUND = re.compile(r"^[\W_]+|[\W_]+$")
_SPACES = re.compile(r"[\s\-]+")


def is_stop(text: str) -> bool:
    """Whether the whole text is a wish to get nothing more: full width, case, quotes and punctuation do not matter."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    return _SPACES.sub(" ", _AROUND.sub("", plain)) in _STOP
