"""The variables that every message is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from alongside.content.kinship import patient_relation
from alongside.content.salutation import salutation, tidy_name
from alongside.model.enums import Locale, Relationship, Written
from alongside.model.postal import PostalAddress, envelope_lines
from alongside.model.tokens import LINKS
from alongside.settings.hospital import Hospital


@dataclass(frozen=True)
class HospitalWords:
    """The hospital in one language, as a message prints it."""

    name: str
    postal_address: str
    phone: str
    website: str

    @classmethod
    def of(cls, hospital: Hospital, locale: Locale) -> HospitalWords:
        """In this language, else in the hospital's own."""
        home = hospital.default_locale
        return cls(
            hospital.name.get(locale) or hospital.name[home],
            hospital.postal_address.get(locale) or hospital.postal_address[home],
            hospital.phone,
            hospital.website,
        )


@dataclass(frozen=True)
class About:
    """The patient of whom a message to a relative speaks. `repr` shows no value.

    Attributes
    ----------
    relationship : what the reader is to the patient
    gender : the patient's
    """

    name: str | None = field(default=None, repr=False)
    relationship: str | None = None
    gender: str | None = field(default=None, repr=False)

    def values(self, locale: Locale) -> dict[str, str | None]:
        """`content.definition.OF_THE_PATIENT`."""
        return {
            "patient_name": tidy_name(self.name) or None,
            "patient_relation": patient_relation(self.relationship, self.gender, locale),
        }


NOBODY = About()


def built_in_values(
    *,
    name: str | None,
    gender: str | None,
    locale: Locale,
    hospital: HospitalWords,
    links: Mapping[str, str],
    today: date,
    about: About = NOBODY,
    letter_number: str = "",
    recipient_lines: str | None = None,
    large_type: bool = False,
) -> dict[str, Any]:
    """What every template may use besides its own variables. The last three are of printed letters alone.

    Parameters
    ----------
    links : addresses by the names in `model.tokens.LINKS`
    about : the patient of whom a message to a relative speaks
    """
    return {
        "name": name,
        "salutation": salutation(name, gender, locale),
        "hospital": hospital,
        **links,
        "today": today.isoformat(),
        **about.values(locale),
        "letter_number": letter_number,
        "recipient_lines": recipient_lines,
        "large_type": large_type,
    }


#: Recipients who do not exist, for previews and checks.
_FICTIONAL = {Locale.ZH_CN: ("张示例", "female"), Locale.EN: ("Alex Example", "unknown")}
#: The patient in a preview of a message to a relative.
_FICTIONAL_PATIENT = {
    Locale.ZH_CN: About("张样本", "child", "male"),
    Locale.EN: About("Sam Example", "child", "male"),
}
_ADDRESS = {
    Locale.ZH_CN: PostalAddress("CN", "999001", "", "青禾市", "东湖区", "示范路1号"),
    Locale.EN: PostalAddress("US", "00000", "ZZ", "Exampleton", "", "1 Sample Street"),
}
#: Of a letter that was never listed.
NO_LETTER = "0000-0000-0000"
_PREVIEW_DAY = date(2026, 3, 2)


def fictional_reader(locale: Locale, to: Written = Written.PATIENT) -> tuple[str, str, About]:
    """Name and gender of a recipient who does not exist, and the patient of whom a message to a relative speaks.

    Parameters
    ----------
    to : whom the text speaks to: whoever decides for a child reads of a son, not of a father
    """
    patient = _FICTIONAL_PATIENT[locale]
    if to is Written.GUARDIAN:
        patient = replace(patient, relationship=Relationship.MOTHER.value)
    return (*_FICTIONAL[locale], patient)


def preview_built_ins(hospital: HospitalWords, locale: Locale, to: Written = Written.PATIENT) -> Mapping[str, Any]:
    """Built-in values of a recipient who does not exist; `to` as of `fictional_reader`."""
    name, gender, about = fictional_reader(locale, to)
    return built_in_values(
        name=name,
        gender=gender,
        locale=locale,
        hospital=hospital,
        links={name: f"https://hospital.example/{use}/preview" for name, (_, use) in LINKS.items()},
        today=_PREVIEW_DAY,
        about=about,
        letter_number=NO_LETTER,
        recipient_lines="\n".join(envelope_lines(_ADDRESS[locale], name, _ADDRESS[locale].country)),
    )
