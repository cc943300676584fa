"""Templates that are registered with a WeChat official account, and messages written for them.

A body is what the patient reads: the template's title, then one line `label: value` for each of its fields, in their
order, then (optional) a line with nothing but the link that opens on a tap. From this text the values of the fields
are read, so that what was rendered, linted and approved is what arrives.

Forms of values: developers.weixin.qq.com, template messages, limits of parameters. The vendor cuts some values that are
too long instead of refusing them; a patient must not read half a sentence, so here all of them are limits.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

#: Bytes of the text of an answer.
LONGEST_ANSWER = 2048
#: How long after a patient's message it may be answered (customer-service messages).
ANSWER_HOURS = 48
_HAN = r"\u3400-\u9fff"
_TIME = r"(?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d)?"
_DATE = r"(?:\d{4}年\d{1,2}月(?:\d{1,2}日)?|\d{1,2}月\d{1,2}日|\d{4}([-/.])\d{1,2}%s\d{1,2})"
_LINK = re.compile(r"https?://\S+")
_LINE = re.compile(r"(?P<label>[^：:]{1,30})[：:]\s*(?P<value>.*)")


def _spans(one: str) -> re.Pattern[str]:
    """`one`, or two of it with `~` between; `one` may hold a separator that repeats within itself."""
    first, second = (one % rf"\{number}" if "%s" in one else one for number in (1, 2))
    return re.compile(rf"{first}(?:~{second})?")


#: Type of a field -> the form of its values, and that form in words.
FORMS: Mapping[str, tuple[re.Pattern[str], str]] = MappingProxyType(
    {
        "thing": (re.compile(r".{1,20}"), "at most 20 characters"),
        "phrase": (re.compile(rf"[{_HAN}]{{1,5}}"), "at most 5 Chinese characters and nothing else"),
        "character_string": (re.compile(rf"[^{_HAN}]{{1,32}}"), "at most 32 characters, none of them Chinese"),
        "name": (
            re.compile(rf"(?=.*[{_HAN}]).{{1,10}}|[^{_HAN}\d]{{1,20}}"),
            "a name of at most 10 Chinese or 20 other characters",
        ),
        "number": (re.compile(r"(?=.{1,32}$)\d+(?:\.\d+)?"), "a number of at most 32 digits"),
        "amount": (re.compile(r"[¥￥$€£]?\d{1,10}(?:\.\d{1,2})?元?"), "an amount such as ¥12.50 or 12元"),
        "phone_number": (re.compile(r"[0-9+()\-]{1,17}"), "at most 17 digits and signs, without blanks"),
        "time": (
            _spans(rf"(?:{_DATE} )?{_TIME}"),
            "a time such as 08:30, with its date in front such as 2026年3月10日 or 2026-03-10, or two with ~ between",
        ),
        "date": (
            _spans(rf"{_DATE}(?: {_TIME})?"),
            "a date such as 2026年3月10日 or 2026-03-10, maybe with a time behind, or two with ~ between",
        ),
    }
)


def type_of(field: str) -> str | None:
    """The type that a field's name tells: `thing1` is a thing; None for one that is not known here."""
    found = field.rstrip("0123456789")
    return found if found in FORMS else None


@dataclass(frozen=True)
class Template:
    """One registered template.

    Attributes
    ----------
    title : as the patient reads it above the fields
    fields : name as registered (`thing1`) -> label as the patient reads it, in the order on the screen
    """

    template_id: str
    title: str
    fields: Mapping[str, str]

    @property
    def content(self) -> str:
        """As the vendor writes it: `label:{{name.DATA}}`, one line each."""
        return "\n".join(f"{label}:{{{{{name}.DATA}}}}" for name, label in self.fields.items())

    def same_as(self, content: str) -> bool:
        """Whether the vendor's content is this: it writes either colon, and blanks where it likes."""
        return _bare(content) == _bare(self.content)


def _bare(content: str) -> str:
    return re.sub(r"\s+", "", content).replace("：", ":")


@dataclass(frozen=True)
class Filled:
    """A template with its values; `url` opens on a tap, empty for none."""

    template: Template
    values: Mapping[str, str]
    url: str = ""


class Misfit(Exception):
    """A text is not one of the templates. `of_value`: the text is, and one recipient's value is at fault.

    The words name fields and lines, never a value.
    """

    def __init__(self, what: str, *, of_value: bool = False) -> None:
        super().__init__(what)
        self.what, self.of_value = what, of_value


def fill(templates: Iterable[Template], text: str) -> Filled:
    """The registered template that this text is, with its values.

    Raises
    ------
    Misfit : it is none of them, or a value has not the form of its field
    """
    title, pairs, url = _read(text)
    titled = [one for one in templates if one.title == title]
    if not titled:
        raise Misfit("no template is registered under the title in its first line")
    labels = [label for label, _ in pairs]
    fitting = next((one for one in titled if list(one.fields.values()) == labels), None)
    if fitting is None:
        raise Misfit(f"its lines are not the fields of '{title}'; {_difference(titled[0], labels)}")
    values = dict(zip(fitting.fields, (value for _, value in pairs), strict=True))
    for name, value in values.items():
        pattern, words = FORMS[type_of(name) or "thing"]
        if not pattern.fullmatch(value):
            raise Misfit(f"{name} ({fitting.fields[name]}) takes {words}", of_value=True)
    return Filled(fitting, values, url)


def _read(text: str) -> tuple[str, list[tuple[str, str]], str]:
    """Title, lines as (label, value), and link."""
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    if not lines:
        raise Misfit("the text is empty")
    title, *rest = lines
    url = rest.pop() if rest and _LINK.fullmatch(rest[-1]) else ""
    pairs = []
    for number, line in enumerate(rest, 2):
        found = _LINE.fullmatch(line)
        if found is None:
            raise Misfit(f"line {number} is not 'label: value'")
        pairs.append((found["label"].strip(), found["value"].strip()))
    return title, pairs, url


def _difference(template: Template, labels: Sequence[str]) -> str:
    wanted = list(template.fields.values())
    for number, (ours, theirs) in enumerate(zip(labels, wanted, strict=False), 2):
        if ours != theirs:
            return f"line {number} begins with '{ours}', registered is '{theirs}'"
    if len(labels) < len(wanted):
        return f"'{wanted[len(labels)]}' is missing"
    return f"'{labels[len(wanted)]}' is not registered"
