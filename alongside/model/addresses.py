"""Addresses as people write them, and the one form in which they are compared, hashed and used.

The plain patterns describe spellings whose normal form is known without the validating libraries, so that SQL may
settle them by the million; everything else goes through `normalise_email` and `normalise_phone`.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

#: Addresses that `--fictional-contacts` invents: reserved by RFC 2606, they reach nobody.
FICTIONAL_DOMAIN = "fictional.example"

#: Lower-case addresses that are their own normal form (where the domain is not special, see `special_domains`).
PLAIN_EMAIL = r"[a-z0-9]+(?:[._+-][a-z0-9]+)*@(?:[a-z0-9](?:-?[a-z0-9])*\.)+[a-z]{2,24}"
#: A follower's id at one WeChat official account, and the address of one installation of an app (FCM registration
#: token): made by machines, told apart by case, never spelt in two ways. Patterns of Python and of RE2.
OPENID = r"[A-Za-z0-9_-]{20,64}"
DEVICE_TOKEN = r"[A-Za-z0-9_:-]{32,512}"  # noqa: S105
_EXTENSION = re.compile(r"(?:转|轉|分机|分機)\D{0,3}(\d{1,7})\s*$")
_LONGEST = 254


def is_fictional(address: str) -> bool:
    """Whether the address was invented by `--fictional-contacts`; a real provider refuses such a recipient."""
    domain = address.rpartition("@")[2].strip().lower()
    return domain == FICTIONAL_DOMAIN or domain.endswith("." + FICTIONAL_DOMAIN)


@cache
def special_domains() -> tuple[str, ...]:
    """Endings of domains that no mail can be delivered to (IANA special-use names)."""
    from email_validator import SPECIAL_USE_DOMAIN_NAMES

    return tuple(sorted(SPECIAL_USE_DOMAIN_NAMES))


def normalise_email(text: str) -> str | None:
    """The address in lower case and ASCII, or None when no mail could be sent to it.

    The local part is lowered too: no large provider tells its case apart, and two spellings are one person.
    """
    from email_validator import EmailNotValidError, validate_email

    written = unicodedata.normalize("NFKC", text).strip().lower()
    if not written or len(written) > _LONGEST:
        return None
    try:
        found = validate_email(written, check_deliverability=False, allow_smtputf8=False, strict=True)
    except EmailNotValidError:
        return None
    return found.ascii_email


def normalise_phone(text: str, region: str = "CN") -> str | None:
    """The number as E.164 (`;ext=` and the extension behind it, where one is written), or None when none is valid.

    Parameters
    ----------
    region : ISO 3166-1 alpha-2 country in which numbers without a country code are dialled
    """
    import phonenumbers

    written = _EXTENSION.sub(r" ext. \1", unicodedata.normalize("NFKC", text))
    try:
        number = phonenumbers.parse(written[:_LONGEST], region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    plain = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return f"{plain};ext={number.extension}" if number.extension else plain


def normalise(kind: str, text: str, region: str = "CN") -> str | None:
    """The one form of an address of this kind (`Channel.address`), or None when nothing could be sent to it."""
    match kind:
        case "email":
            return normalise_email(text)
        case "phone":
            return normalise_phone(text, region)
    return text.strip() if re.fullmatch({"openid": OPENID, "device_token": DEVICE_TOKEN}[kind], text.strip()) else None


@cache
def mobile_numbers(region: str) -> tuple[str, str] | None:
    """(country code, pattern of national mobile numbers) of a region, from the library's own metadata."""
    import phonenumbers

    code = phonenumbers.country_code_for_region(region)
    metadata = phonenumbers.PhoneMetadata.metadata_for_region(region, None) if code else None
    if metadata is None or metadata.mobile is None or not metadata.mobile.national_number_pattern:
        return None
    return str(code), metadata.mobile.national_number_pattern


def normalise_text(text: str) -> str:
    """NFKC (full-width forms become ordinary ones), white space collapsed."""
    return " ".join(unicodedata.normalize("NFKC", text).split())
