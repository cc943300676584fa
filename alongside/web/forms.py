"""Reading the forms of patients' pages: small, ASCII-encoded, and nothing that no form of ours could have sent."""

from __future__ import annotations

from urllib.parse import parse_qs

MAX_FORM_BYTES = 16 * 1024
_MOST_FIELDS = 80


def read_fields(body: bytes) -> dict[str, list[str]]:
    """The fields of a form; none where no form of ours could have sent this."""
    try:
        return parse_qs(body.decode("ascii"), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except (UnicodeDecodeError, ValueError):
        return {}
