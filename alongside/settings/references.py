"""References to the environment in configuration: `env:NAME` stands where the value itself must not."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator

_FORM = re.compile(r"env:[A-Z][A-Z0-9_]*")


def _is_reference(text: str) -> str:
    if not _FORM.fullmatch(text):
        raise ValueError("no address or secret stands in a file: write env:NAME, and set NAME in the environment")
    return text


#: A field of configuration that holds `env:NAME`.
Reference = Annotated[str, AfterValidator(_is_reference)]


def resolve(reference: str, variables: Mapping[str, str] | None = None) -> str:
    """What the environment holds under the reference's name; empty when it holds nothing."""
    return (os.environ if variables is None else variables).get(reference.removeprefix("env:"), "").strip()
