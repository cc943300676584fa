"""Letters on paper: HTML to PDF. The one file that knows WeasyPrint, which takes a second to load and is loaded late.

Every letter is laid out by itself, so that it counts its own pages and nothing runs over; their pages are then written
into one document, which embeds each font once. The same letters give the same bytes.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from alongside.model.errors import Refused

_STYLE = re.compile(r"<style>(.*?)</style>", re.DOTALL)
_BLANK = '<html><head></head><body style="margin:0"></body></html>'
_A4 = "@page { size: A4; margin: 0 }"


@dataclass(frozen=True)
class Paper:
    """One document.

    Attributes
    ----------
    pages : of each letter, without blank ones
    missing : place of a letter -> its characters that no font of this machine has; they would be printed as boxes
    """

    pdf: bytes = field(repr=False)
    pages: tuple[int, ...]
    missing: dict[int, str] = field(repr=False)


def require_printer() -> None:
    """Refuse where the libraries that lay out text are not installed.

    Raises
    ------
    Refused : with what to install
    """
    try:
        import weasyprint  # noqa: F401
    except (ImportError, OSError) as error:  # cffi raises OSError for a library that is not there
        raise Refused(
            "letters cannot be made here: Pango is not installed",
            where="alongside letters",
            remedy="On Debian: apt-get install libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0 fonts-noto-cjk.",
        ) from error


def print_letters(letters: Sequence[str], *, title: str, duplex: bool = False) -> Paper:
    """One PDF of these letters.

    Parameters
    ----------
    letters : whole HTML documents, at least one
    title : of the document; without patient values
    duplex : every letter begins on a new sheet

    Raises
    ------
    Refused : nothing can be laid out on this machine
    """
    require_printer()
    laid_out = [_lay_out(letter) for letter in letters]
    blank = _lay_out(_BLANK, _A4).pages[0]
    pages: list[Any] = []
    for document in laid_out:
        pages += document.pages
        if duplex and len(document.pages) % 2:
            pages.append(blank)
    whole = laid_out[0].copy(pages)
    whole.metadata.title = title
    with _listening() as unknown:
        digest = hashlib.sha256("\0".join(letters).encode()).digest()[:16]
        pdf: bytes = whole.write_pdf(pdf_identifier=digest)
    missing = {place: found for place, letter in enumerate(letters) if (found := _held(letter, unknown))}
    return Paper(pdf, tuple(len(document.pages) for document in laid_out), missing)


def _held(letter: str, unknown: set[str]) -> str:
    return "".join(sorted(unknown & set(letter)))


def _lay_out(letter: str, style: str = "") -> Any:
    import weasyprint

    styles = style or "".join(_STYLE.findall(letter))
    page = weasyprint.HTML(string=_STYLE.sub("", letter), url_fetcher=_nothing())
    return page.render(stylesheets=[_styles(styles)], font_config=_fonts())


@lru_cache(maxsize=1)
def _nothing() -> Any:
    """Nothing is fetched for a letter."""
    from weasyprint.urls import URLFetcher

    return URLFetcher(allowed_protocols=())


@lru_cache(maxsize=1)
def _fonts() -> Any:
    from weasyprint.text.fonts import FontConfiguration

    return FontConfiguration()


@lru_cache(maxsize=32)
def _styles(css: str) -> Any:
    """Parsed once: the letters of a day share their layout."""
    import weasyprint

    return weasyprint.CSS(string=css, font_config=_fonts(), url_fetcher=_nothing())


class _Unknown(logging.Handler):
    """Gathers the characters that WeasyPrint found no glyph for."""

    def __init__(self, found: set[str]) -> None:
        super().__init__(logging.WARNING)
        self._found = found

    def emit(self, record: logging.LogRecord) -> None:
        if isinstance(record.args, tuple) and "notdef" in str(record.msg):
            self._found.add(str(record.args[0]))


@contextmanager
def _listening() -> Iterator[set[str]]:
    """What the library says goes nowhere else: it quotes the characters of names."""
    found: set[str] = set()
    logger, handler = logging.getLogger("weasyprint"), _Unknown(found)
    before, logger.handlers, logger.propagate = logger.handlers, [handler], False
    try:
        yield found
    finally:
        logger.handlers = before
