"""Rendering of the pages that patients see: no script, no external asset, nothing to track, no address on them."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from alongside.content.formats import Formats
from alongside.content.surveys import Survey
from alongside.content.words import department
from alongside.ledger.consent import CROSS_BORDER
from alongside.ledger.data_requests import DataRequest
from alongside.ledger.surveys import Response as SurveyResponse
from alongside.model.enums import AppointmentAnswer, Locale, Purpose
from alongside.settings import HospitalSettings
from alongside.web.choices import Change, Choice
from alongside.web.coming import Coming, Standing
from alongside.web.coming_words import COMING_WORDS
from alongside.web.held import Held
from alongside.web.held_words import HELD_WORDS
from alongside.web.manner import Manner
from alongside.web.manner_words import MANNER_WORDS
from alongside.web.preference_words import PREFERENCE_WORDS
from alongside.web.survey_words import SURVEY_WORDS
from alongside.web.words import WORDS

FOLDER = Path(__file__).parent / "pages"
STYLE = (FOLDER / "page.css").read_text("utf-8")
#: BCP 47, for `lang` attributes.
LANGUAGE_TAGS = {Locale.ZH_CN: "zh-CN", Locale.EN: "en"}
_LOCALES = {tag: locale for locale, tag in LANGUAGE_TAGS.items()}


def in_language(locale: Locale, request: Request) -> Locale:
    """The message's language, unless the page was asked for in another (`?lang=en`)."""
    return _LOCALES.get(request.query_params.get("lang", ""), locale)


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
        self._settings = settings
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
        (other,) = set(Locale) - {locale}
        language = {"other_lang": LANGUAGE_TAGS[other], "other_language": PREFERENCE_WORDS[other].language}
        return self._page("unsubscribe.html.j2", 200, locale, purpose=purpose, **language)

    def done(self, locale: Locale, purpose: Purpose, *, everything: bool) -> HTMLResponse:
        return self._page("unsubscribed.html.j2", 200, locale, purpose=purpose, everything=everything)

    def lost(self, status: int, headers: dict[str, str] | None = None) -> HTMLResponse:
        """A link that leads nowhere, in both languages: nobody knows whose it was."""
        texts = {locale: (words.lost_title, words.lost) for locale, words in WORDS.items()}
        return self._in_both_languages(status, texts, headers)

    def busy(self) -> HTMLResponse:
        """Too many requests at once, in both languages."""
        texts = {locale: (words.busy_title, words.busy) for locale, words in WORDS.items()}
        return self._in_both_languages(429, texts, {"Retry-After": "60"})

    def down(self, status: int) -> HTMLResponse:
        """We have failed, in both languages: whose link it was may be what could not be read."""
        texts = {locale: (words.down_title, words.down) for locale, words in WORDS.items()}
        return self._in_both_languages(status, texts, {"Retry-After": "60"})

    def expired(self) -> HTMLResponse:
        """A link of a message that is too old, in both languages."""
        texts = {locale: (say.expired_title, say.expired) for locale, say in PREFERENCE_WORDS.items()}
        return self._in_both_languages(410, texts)

    def preferences(self, locale: Locale, choices: Sequence[Choice], others: Sequence[str] = ()) -> HTMLResponse:
        """The preference centre: it changes nothing. `others`: further channels that can be stopped as a whole."""
        (other,) = set(Locale) - {locale}
        return self._page(
            "preferences.html.j2",
            200,
            locale,
            say=PREFERENCE_WORDS[locale],
            more=MANNER_WORDS[locale],
            held=HELD_WORDS[locale],
            other_say=PREFERENCE_WORDS[other],
            other_lang=LANGUAGE_TAGS[other],
            offered=[one for one in choices if one.offered],
            purposes=[one for one in choices if one.offered and one.purpose != CROSS_BORDER],
            abroad=[one for one in choices if one.offered and one.purpose == CROSS_BORDER],
            locked=[one for one in choices if not one.offered],
            permitted=[one for one in choices if one.permitted],
            others=others,
            may_leave=any(one.permitted for one in choices if one.purpose != CROSS_BORDER),
        )

    def preferences_saved(self, locale: Locale, change: Change, *, left: bool, left_other: str = "") -> HTMLResponse:
        """What has become of a wish. `left_other`: the other channel that was stopped as a whole."""
        return self._page(
            "preferences_saved.html.j2",
            200,
            locale,
            say=PREFERENCE_WORDS[locale],
            left=left,
            left_other=left_other,
            withdrawn=[purpose for purpose in change.withdrawn if purpose != CROSS_BORDER],
            abroad=CROSS_BORDER in change.withdrawn,
            not_abroad=any(one.purpose == CROSS_BORDER and not one.permitted for one in change.choices),
            granted=change.granted,
            refused=change.refused,
            permitted=[one for one in change.choices if one.permitted],
        )

    def manner(self, locale: Locale, manner: Manner, *, changed: bool | None = None) -> HTMLResponse:
        """How the hospital writes to a patient: the form, or what came of one (`changed`: whether anything did)."""
        say, names = MANNER_WORDS, PREFERENCE_WORDS
        (other,) = set(Locale) - {locale}
        return self._page(
            "manner.html.j2" if changed is None else "manner_saved.html.j2",
            200,
            locale,
            **self._joints(locale),
            say=say[locale],
            nothing_yet=names[locale].nothing_yet,
            manner=manner,
            shown=manner.shown,
            changed=bool(changed),
            cap=self._settings.gates.frequency_cap,
            unwanted=manner.unwanted(locale),
            topics=[(topic, topic.words[locale]) for topic in manner.topics],
            languages=[(one, LANGUAGE_TAGS[one], names[one].language) for one in Locale],
            language_tag=LANGUAGE_TAGS[manner.language],
            language_name=names[manner.language].language,
            other_lang=LANGUAGE_TAGS[other],
            other_language=names[other].language,
        )

    def held(self, locale: Locale, held: Held) -> HTMLResponse:
        """What is held of a patient, and the two wishes about all of it."""
        (other,) = set(Locale) - {locale}
        day = self._day(locale)
        return self._page(
            "held.html.j2",
            200,
            locale,
            **self._joints(locale),
            say=HELD_WORDS[locale],
            back=MANNER_WORDS[locale].purposes,
            held=held,
            messages=[(one, day(one.at)) for one in held.messages],
            agreements=[
                (purpose, own, day(max(one.since for one in own)))
                for purpose, own in held.agreements_by_purpose.items()
            ],
            asked={kind: day(one.due_at) for kind, one in held.requests.items()},
            other_lang=LANGUAGE_TAGS[other],
            other_language=PREFERENCE_WORDS[other].language,
        )

    def asked(self, locale: Locale, request: DataRequest) -> HTMLResponse:
        """A wish about one's data has reached a person: by when they answer, and what happens next."""
        return self._page(
            "asked.html.j2",
            200,
            locale,
            say=HELD_WORDS[locale],
            back=MANNER_WORDS[locale].purposes,
            words_of=HELD_WORDS[locale].requests[request.kind],
            day=self._day(locale)(request.due_at),
        )

    def survey(
        self, locale: Locale, survey: Survey, before: SurveyResponse | None, *, missing: bool = False
    ) -> HTMLResponse:
        """A survey's form, with the numbers (never the words) that its link answered before."""
        (other,) = set(Locale) - {locale}
        return self._page(
            "survey.html.j2",
            422 if missing else 200,
            locale,
            **self._joints(locale),
            say=SURVEY_WORDS[locale],
            missing=missing,
            title=survey.title[locale],
            lead=survey.lead[locale],
            questions=[
                {
                    "name": one.name,
                    "text": one.text[locale],
                    "low": one.low[locale],
                    "high": one.high[locale],
                    "numbers": one.numbers,
                    "score": before.scores.get(one.name) if before else None,
                    "first": one is survey.questions[0],
                }
                for one in survey.questions
            ],
            comment=survey.comment[locale] if survey.comment else "",
            written=before is not None and before.comment is not None,
            other_lang=LANGUAGE_TAGS[other],
            other_language=PREFERENCE_WORDS[other].language,
        )

    def survey_thanks(self, locale: Locale, due_at: datetime | None, until: datetime) -> HTMLResponse:
        """The answer was kept. `due_at`: by then somebody sees to what went wrong."""
        day = self._day(locale)
        due = day(due_at) if due_at else ""
        return self._page("survey_thanks.html.j2", 200, locale, say=SURVEY_WORDS[locale], due=due, until=day(until))

    def survey_over(self) -> HTMLResponse:
        """A survey that cannot be answered any more, in both languages."""
        return self._in_both_languages(
            410, {locale: (say.over_title, say.over) for locale, say in SURVEY_WORDS.items()}
        )

    def coming(self, locale: Locale, coming: Coming, *, just_now: bool = False) -> HTMLResponse:
        """An appointment, the two buttons, or why there are none. `just_now`: the patient has answered with this."""
        say, (other,) = COMING_WORDS[locale], set(Locale) - {locale}
        formats = Formats(locale, ZoneInfo(self._hospital.time_zone))
        at = {"day": formats.as_date(coming.at, "weekday"), "time": formats.as_time(coming.at)}
        confirmed = coming.answer is AppointmentAnswer.CONFIRM
        title, said = say.title, ""
        if just_now:
            title = say.confirmed_title if confirmed else say.cancelled_title
            said = (say.confirmed if confirmed else say.cancelled).format(**at)
        elif coming.answer is not None and coming.standing is Standing.BOOKED:
            said = say.confirmed_before if confirmed else say.cancelled_before
        told = {
            Standing.BOOKED: "",
            Standing.MOVED: say.moved,
            Standing.CANCELLED: say.taken_back,
            Standing.PASSED: say.passed,
            Standing.GONE: say.gone,
        }
        return self._page(
            "coming.html.j2",
            200,
            locale,
            say=say,
            title=title,
            said=said,
            coming=coming,
            just_now=just_now,
            when=say.when.format(**at),
            where=say.where.format(department=department(coming.department, locale)) if coming.department else "",
            told=told[coming.standing].format(**at),
            other_lang=LANGUAGE_TAGS[other],
            other_language=PREFERENCE_WORDS[other].language,
        )

    def cancellation(self, coming: Coming) -> str:
        """What a person reads of a patient who cannot come, in the hospital's language."""
        home = self._hospital.default_locale
        formats = Formats(home, ZoneInfo(self._hospital.time_zone))
        return COMING_WORDS[home].task.format(
            day=formats.as_date(coming.at),
            time=formats.as_time(coming.at),
            source=coming.reference.source,
            id=coming.reference.id,
        )

    def _day(self, locale: Locale) -> Callable[[datetime], str]:
        """The hospital's calendar in the reader's language."""
        return Formats(locale, ZoneInfo(self._hospital.time_zone)).as_date

    @staticmethod
    def _joints(locale: Locale) -> dict[str, Any]:
        """What stands between the words of a list."""
        chinese = locale is Locale.ZH_CN
        names = PREFERENCE_WORDS[locale].names
        return {"names": names, "colon": "：" if chinese else ": ", "comma": "，" if chinese else ", "}

    def too_often(self, locale: Locale) -> HTMLResponse:
        """This link has changed its choices many times within the minute; what was asked for is not saved."""
        answer = self._page("too_often.html.j2", 429, locale, say=PREFERENCE_WORDS[locale])
        answer.headers["Retry-After"] = "60"
        return answer

    def _in_both_languages(
        self, status: int, texts: dict[Locale, tuple[str, str]], headers: dict[str, str] | None = None
    ) -> HTMLResponse:
        first = self._hospital.default_locale
        said = [
            {"lang": LANGUAGE_TAGS[locale], "title": texts[locale][0], "text": texts[locale][1]}
            for locale in sorted(texts, key=lambda locale: locale is not first)
        ]
        answer = self._page("lost.html.j2", status, first, said=said)
        answer.headers.update(headers or {})
        return answer

    def _page(self, name: str, status: int, locale: Locale, **values: Any) -> HTMLResponse:
        words = WORDS[locale]
        purpose: Purpose | None = values.get("purpose")
        html = self._environment.get_template(name).render(
            words=words,
            kind=words.kinds[purpose] if purpose else "",
            lang=LANGUAGE_TAGS[locale],
            hospital=self._hospital.name[locale],
            postal_address=self._hospital.postal_address[locale],
            phone=self._hospital.phone,
            phone_link=re.sub(r"[^+\d]", "", self._hospital.phone),
            style=STYLE,
            stop="。" if locale is Locale.ZH_CN else ". ",  # between two sentences, the first without its stop
            gap="" if locale is Locale.ZH_CN else " ",  # between two sentences
            is_care=purpose is Purpose.CARE,
            **values,
        )
        return HTMLResponse(html, status, headers=HEADERS)
