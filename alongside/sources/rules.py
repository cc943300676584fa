"""Why a row or a value is refused, in words for a data engineer. No rule's words ever hold a value."""

from __future__ import annotations

from typing import Final

#: Longest value that is taken; longer ones are almost always a quote that was never closed.
MAX_CELL: Final = 32_768

WORDS: Final[dict[str, str]] = {
    "wrong_column_count": "the record has more or fewer columns than the header",
    "unclosed_quote": "a quote is opened and never closed, so that the record swallowed the lines after it",
    "missing_required": "a required value is missing",
    "undecodable": "the value holds characters that could not be decoded (U+FFFD)",
    "cell_too_long": f"the value is longer than {MAX_CELL:,} characters",
    "unreadable_date": "the value is not a date of a known form between 1850 and 2200",
    "unreadable_number": "the value is not a finite number",
    "unknown_value": "the value is not in the source's value map or the canonical vocabulary",
    "expression_failed": "the SQL expression of this column failed on the record",
    "unknown_unit": "the unit is missing, unknown, or has no conversion to the concept's unit",
    "impossible_value": "the number is outside what the concept calls plausible",
    "no_value": "the observation has neither a number nor a text",
    "duplicate_id": "another record of the same extract has the same identifier; the last one is kept",
    "invalid_resource": "the resource is not valid FHIR R4",
    "not_fhir": "the document is not a FHIR resource",
    "not_a_patient": "the resource is about a group, device or place, or about nobody",
    "not_usable": "the resource's status says that its statement does not hold",
    "partial_date": "the date of birth has no day",
    "not_understood": "the consent cannot be read as one decision about a purpose",
    "file_unreadable": "the file cannot be read",
}


def fault(field: str, rule: str, *, fatal: bool) -> str:
    """One fault as it travels beside its row: `field:rule:R` removes the row, `:V` only the value."""
    return f"{field}:{rule}:{'R' if fatal else 'V'}"
