"""Tests that look at printed pages need Pango and a Chinese font; without them they skip, and fail under CI=true."""

from __future__ import annotations

import io
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import pytest
from pypdf import PdfReader

from alongside.delivery.paper import require_printer
from alongside.model.errors import Refused

MILLIMETRES = 25.4 / 72


@cache
def _lacking() -> str:
    try:
        require_printer()
    except Refused as error:
        return error.what
    fonts = subprocess.run(["fc-list", ":lang=zh-cn"], capture_output=True, text=True, check=False).stdout
    return "" if "Noto Sans CJK SC" in fonts else "fonts-noto-cjk is not installed"


def require_paper() -> None:
    """Skip the test where letters cannot be printed."""
    if what := _lacking():
        reason = f"{what}: 'make system' installs it as root"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)


@dataclass(frozen=True)
class Piece:
    """Text that stands together, with the place of its beginning in millimetres from the upper left corner."""

    text: str
    x: float
    y: float
    size: float  # points


def pages_of(pdf: bytes) -> list[str]:
    """The text of every page."""
    return [page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages]


def pieces_of(pdf: bytes, page: int = 0) -> list[Piece]:
    """The pieces of text of a page, in the order in which they are drawn."""
    sheet = PdfReader(io.BytesIO(pdf)).pages[page]
    height, found = float(sheet.mediabox.height), []

    def visit(text: str, current: list[float], matrix: list[float], _font: object, size: float) -> None:
        if text.strip():
            x = matrix[4] * current[0] + current[4]
            y = matrix[5] * current[3] + current[5]
            found.append(
                Piece(text.strip(), x * MILLIMETRES, (height - y) * MILLIMETRES, size * abs(matrix[3] * current[3]))
            )

    sheet.extract_text(visitor_text=visit)
    return found


def fonts_of(pdf: bytes) -> Iterator[tuple[str, bool]]:
    """(name, is embedded) of every font of the document."""
    for page in PdfReader(io.BytesIO(pdf)).pages:
        for font in page["/Resources"]["/Font"].values():  # type: ignore[index]
            for inner in font.get_object()["/DescendantFonts"]:
                descriptor = inner.get_object()["/FontDescriptor"].get_object()
                yield str(descriptor["/FontName"]), any(f"/FontFile{kind}" in descriptor for kind in ("", "2", "3"))
