"""Rendering of the pages that patients see: no script, no external asset, nothing to track, no address on them."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse

from alongside.model.enums import Locale, Purpose
from alongside.settings import HospitalSettings
from alongside.web.words import WORDS

FOLDER = Path(__file__).parent / "pages"
STYLE = (FOLDER / "page.css").read_text("utf-8")


def _style_hash() -> str:
    return base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()


HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_style_hash()}'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Robots-Tag": "noindex, nofollow",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


class Pages:
    """The pages of one hospital."""

    def __init__(self, settings: HospitalSettings) -> None:
        self._hospital = settings.hospital
        self._environment = Environment(
            loader=FileSystemLoader(FOLDER),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def ask(self, locale: Locale, purpose: Purpose) -> HTMLResponse:
        """The confirmation page behind the link: it changes nothing."""
        return self._page("unsubscribe.html.j2", 200, locale, purpose=purpose)

    def done(self, locale: Locale, purpose: Purpose, *, everything: bool) -> HTMLResponse:
        return self._page("unsubscribed.html.j2", 200, locale, purpose=purpose, everything=everything)

    def lost(self, status: int, headers: dict[str, str] | None = None) -> HTMLResponse:
        """A link that leads nowhere, in both languages: nobody knows whose it was."""
        first = self._hospital.default_locale
        in_order = {locale: WORDS[locale] for locale in sorted(WORDS, key=lambda locale: locale is not first)}
        answer = self._page("lost.html.j2", status, first, all_words=in_order)
        answer.headers.update(headers or {})
        return answer

    def _page(self, name: str, status: int, locale: Locale, **values: Any) -> HTMLResponse:
        words = WORDS[locale]
        purpose: Purpose | None = values.get("purpose")
        html = self._environment.get_template(name).render(
            words=words,
            kind=words.kinds[purpose] if purpose else "",
            lang="zh-CN" if locale is Locale.ZH_CN else "en",
            hospital=self._hospital.name[locale],
            postal_address=self._hospital.postal_address[locale],
            phone=self._hospital.phone,
            phone_link=re.sub(r"[^+\d]", "", self._hospital.phone),
            style=STYLE,
            is_care=purpose is Purpose.CARE,
            **values,
        )
        return HTMLResponse(html, status, headers=HEADERS)
