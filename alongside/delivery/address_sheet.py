"""The list that goes with a stack of letters: numbers and addresses, nothing of what the letters say."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

from alongside.model.enums import Locale

_MOST_LINES = 8
#: What a spreadsheet would take for a formula.
_FORMULA = ("=", "+", "-", "@", "\t")
_WORDS = {
    Locale.ZH_CN: ("寄信清单", "封信", "页", "序号", "信件编号", "收件人和地址", "页数", "已寄"),
    Locale.EN: ("Address sheet", "letters", "pages", "No.", "Letter", "Recipient and address", "Pages", "Posted"),
}
_STYLE = """
@page { size: A4; margin: 15mm 15mm 18mm; @bottom-right { content: counter(page) " / " counter(pages);
        font: 9pt "Noto Sans CJK SC", sans-serif; } }
html { font: 10pt/1.35 "Noto Sans CJK SC", "Noto Sans", sans-serif; }
h1 { font-size: 14pt; margin: 0 0 1mm; } p { margin: 0 0 4mm; }
table { border-collapse: collapse; width: 100%; }
thead { display: table-header-group; }
th { text-align: left; border-bottom: 0.4mm solid #000; } td { border-bottom: 0.1mm solid #888; vertical-align: top; }
th, td { padding: 1mm 2mm 1mm 0; } tr { break-inside: avoid; }
.number { white-space: nowrap; width: 36mm; } .count { text-align: right; width: 10mm; padding-right: 4mm; }
.tick { width: 14mm; } .tick div { width: 4mm; height: 4mm; border: 0.2mm solid #000; }
"""


@dataclass(frozen=True)
class SheetRow:
    """One letter of the stack."""

    number: str
    lines: tuple[str, ...] = field(repr=False)
    pages: int


def sheet_csv(rows: Sequence[SheetRow]) -> bytes:
    """UTF-8 with a byte order mark, by which spreadsheets recognise it: number, pages, line_1 to line_8."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["number", "pages", *(f"line_{place}" for place in range(1, _MOST_LINES + 1))])
    for row in rows:
        lines = [*row.lines[: _MOST_LINES - 1], ", ".join(row.lines[_MOST_LINES - 1 :])]
        lines += [""] * (_MOST_LINES - len(lines))
        writer.writerow([row.number, row.pages, *map(_plain, lines)])
    return text.getvalue().encode("utf-8-sig")


def _plain(line: str) -> str:
    return f"'{line}" if line.startswith(_FORMULA) else line


def sheet_html(rows: Sequence[SheetRow], title: str, hospital: str, locale: Locale) -> str:
    """The same to be printed, with a box to tick for each letter."""
    sheet, letters, pages, place, number, address, count, posted = _WORDS[locale]
    body = "".join(
        f"<tr><td class='count'>{index}</td><td class='number'>{row.number}</td>"
        f"<td>{' · '.join(map(escape, row.lines))}</td><td class='count'>{row.pages}</td>"
        "<td class='tick'><div></div></td></tr>"
        for index, row in enumerate(rows, 1)
    )
    return (
        f"<html lang='{locale.value.replace('_', '-')}'><head><style>{_STYLE}</style></head><body>"
        f"<h1>{escape(hospital)} · {sheet} {escape(title)}</h1>"
        f"<p>{len(rows)} {letters}, {sum(row.pages for row in rows)} {pages}</p>"
        f"<table><thead><tr><th class='count'>{place}</th><th class='number'>{number}</th><th>{address}</th>"
        f"<th class='count'>{count}</th><th class='tick'>{posted}</th></tr></thead><tbody>{body}</tbody></table>"
        "</body></html>"
    )
