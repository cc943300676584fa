"""Numbers of letters: short enough to be read out on the telephone or typed from an envelope, and nobody's name.

Eleven characters of Crockford's base 32 (no I, L, O or U) from a hash of the message's key, and a check
character (Luhn modulo 32): one wrong character or two exchanged neighbours make a number that no letter has. 55 bits:
among twenty million letters two would share a number with a chance of 0.6 %.
"""

from __future__ import annotations

import hashlib

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_VALUE = {char: value for value, char in enumerate(_ALPHABET)} | {"O": 0, "I": 1, "L": 1}
_DIGITS = 11


def letter_number(message_key: str) -> str:
    """The number of a message's letter, `7K3M-92QX-4HTB`.

    Parameters
    ----------
    message_key : itself a keyed hash: nobody can tell from a number whom its letter is for
    """
    value = int.from_bytes(hashlib.sha256(message_key.encode()).digest()[:7], "big") >> 1  # 55 bits
    digits = [value >> 5 * place & 31 for place in reversed(range(_DIGITS))]
    text = "".join(_ALPHABET[digit] for digit in [*digits, _check(digits)])
    return f"{text[:4]}-{text[4:8]}-{text[8:]}"


def read_number(text: str) -> str | None:
    """The number as it is kept, from whatever somebody typed; None when no letter can have it."""
    written = [_VALUE.get(char) for char in text.upper() if char.isalnum()]
    digits = [value for value in written if value is not None]
    if len(written) != _DIGITS + 1 or len(digits) != len(written) or _check(digits[:-1]) != digits[-1]:
        return None
    plain = "".join(_ALPHABET[digit] for digit in digits)
    return f"{plain[:4]}-{plain[4:8]}-{plain[8:]}"


def _check(digits: list[int]) -> int:
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = digit * (2 - place % 2)
        total += value // 32 + value % 32
    return -total % 32
