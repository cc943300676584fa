"""Words by which a patient leaves, in a text message that says nothing else.

Sources: the keywords that carriers and Twilio honour (STOP and its kin, 47 CFR 64.1200(a)(10)), and those of Chinese
operators (R, TD, T and 退订).
"""

from __future__ import annotations

import re
import unicodedata

_STOP = frozenset(
    {
        *("stop", "stopall", "stop all", "unsubscribe", "cancel", "end", "quit", "revoke", "optout", "opt out"),
        *("r", "td", "t", "退订", "退訂", "拒收", "取消订阅", "取消訂閱", "不要再发", "不要再发了", "别再发了"),
    }
)
_AROUND = re.compile(r"^[\W_]+|[\W_]+$")
_SPACES = re.compile(r"[\s\-]+")


def is_stop(text: str) -> bool:
    """Whether the whole text is a wish to get nothing more: full width, case, quotes and punctuation do not matter."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    return _SPACES.sub(" ", _AROUND.sub("", plain)) in _STOP
