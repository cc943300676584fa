"""Dates, numbers and units as a reader of each language writes them: the filters of a message."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo

from alongside.content.words import department
from alongside.model.enums import Locale

_EN_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_EN_DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
_ZH_DAYS = "一二三四五六日"

#: UCUM unit -> (zh_CN, English for one, English for any other number). An empty word is not printed.
_UNITS: dict[str, tuple[str, str, str]] = {
    "mm[Hg]": ("mmHg", "mmHg", "mmHg"),
    "/min": ("次/分", "beat per minute", "beats per minute"),
    "kg": ("公斤", "kg", "kg"),
    "cm": ("厘米", "cm", "cm"),
    "kg/m2": ("kg/m²", "kg/m²", "kg/m²"),
    "%": ("%", "%", "%"),
    "mmol/L": ("mmol/L", "mmol/L", "mmol/L"),
    "umol/L": ("μmol/L", "µmol/L", "µmol/L"),
    "mL/min/{1.73_m2}": ("mL/min/1.73m²", "mL/min/1.73 m²", "mL/min/1.73 m²"),
    "g/L": ("g/L", "g/L", "g/L"),
    "{score}": ("分", "point", "points"),
    "min": ("分钟", "minute", "minutes"),
    "h": ("小时", "hour", "hours"),
    "d": ("天", "day", "days"),
    "wk": ("周", "week", "weeks"),
    "mo": ("个月", "month", "months"),
    "a": ("年", "year", "years"),
}


class FormatError(ValueError):
    """A value does not fit its filter. The message never repeats the value: it may be a patient's."""


@dataclass(frozen=True)
class Formats:
    """The filters of one language, in one time zone (the hospital's: appointments are kept there)."""

    locale: Locale
    zone: ZoneInfo

    def filters(self) -> dict[str, Callable[..., str]]:
        return {
            "date": self.as_date,
            "time": self.as_time,
            "number": self.number,
            "quantity": self.quantity,
            "plural": self.plural,
            "department": lambda code: department(code, self.locale),
        }

    def as_date(self, value: Any, style: str = "long") -> str:
        """A date. `long` 2026年3月10日 / 10 March 2026; `short` without the year; `weekday` short and its weekday;
        `iso` 2026-03-10 in every language.
        """
        day = self._moment(value)
        if style not in {"long", "short", "weekday", "iso"}:
            raise FormatError(f"date style {style!r} is not long, short, weekday or iso")
        if style == "iso":
            return f"{day:%Y-%m-%d}"
        return self._zh_date(day, style) if self.locale is Locale.ZH_CN else self._en_date(day, style)

    def as_time(self, value: Any) -> str:
        """The time of day, 24 hours, hospital time: 09:30."""
        moment = self._moment(value)
        if not isinstance(moment, datetime):
            raise FormatError("a date without a time of day was given to 'time'")
        return f"{moment:%H:%M}"

    def number(self, value: Any, digits: int | None = None) -> str:
        """1,234.5; `digits` fixes the decimals (half up), otherwise as many as the value has, at most 6."""
        amount = _decimal(value)
        if digits is None:
            text = f"{amount.quantize(Decimal('0.000001'), ROUND_HALF_UP):,f}".rstrip("0").rstrip(".")
        else:
            text = f"{amount.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP):,f}"
        return "0" if text == "-0" else text

    def quantity(self, value: Any, unit: str, digits: int | None = None) -> str:
        """A number with its UCUM unit in the reader's words: 3 weeks, 3 周, 6.5%, 128 mmHg."""
        if unit not in _UNITS:
            raise FormatError(f"unit {unit!r} is not known; known: {', '.join(_UNITS)}")
        amount = self.number(value, digits)
        chinese, one, many = _UNITS[unit]
        if self.locale is Locale.ZH_CN:
            return f"{amount}{chinese}" if unit == "%" else f"{amount} {chinese}"
        if unit == "%":
            return f"{amount}%"
        return f"{amount} {one if amount == '1' else many}"

    def plural(self, value: Any, one: str, many: str) -> str:
        """`one` for exactly 1, else `many`; Chinese has one form, so give it twice or do not use it."""
        return one if _decimal(value) == 1 else many

    def _moment(self, value: Any) -> date:
        if isinstance(value, str):
            value = _parse(value)
        if isinstance(value, datetime):
            aware = value if value.tzinfo else value.replace(tzinfo=UTC)
            return aware.astimezone(self.zone)
        if isinstance(value, date):
            return value
        raise FormatError("the value is not a date or moment in ISO 8601")

    def _zh_date(self, day: date, style: str) -> str:
        short = f"{day.month}月{day.day}日"
        if style == "weekday":
            return f"{short}（星期{_ZH_DAYS[day.weekday()]}）"
        return short if style == "short" else f"{day.year}年{short}"

    def _en_date(self, day: date, style: str) -> str:
        short = f"{day.day} {_EN_MONTHS[day.month - 1]}"
        if style == "weekday":
            return f"{_EN_DAYS[day.weekday()]}, {short}"
        return short if style == "short" else f"{short} {day.year}"


def _parse(text: str) -> date:
    try:
        return date.fromisoformat(text) if len(text) <= 10 else datetime.fromisoformat(text)
    except ValueError:
        raise FormatError("the value is not a date or moment in ISO 8601") from None


def _decimal(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
        raise FormatError("the value is not a number")
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        raise FormatError("the value is not a number") from None
    if not amount.is_finite() or abs(amount) >= 10**15:
        raise FormatError("the value is not a finite number below 10^15")
    return amount
