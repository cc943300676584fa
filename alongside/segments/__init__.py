"""Tags and segments: a small typed language over the patient 360, refreshed with set-based SQL.

`alongside.segments` imports nothing heavy until one of its names is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alongside.segments.catalogue import Catalogue, Definition, failed_fields
    from alongside.segments.configuration import check, load, read
    from alongside.segments.explanation import Explained, explain
    from alongside.segments.membership import RefreshReport, SegmentCount, Stopped, refresh
    from alongside.segments.places import Place
    from alongside.segments.variables import CompiledVariables, check_variables, compile_variables, in_document

_HOMES = {
    "catalogue": ("Catalogue", "Definition", "failed_fields"),
    "configuration": ("check", "load", "read"),
    "explanation": ("Explained", "explain"),
    "membership": ("RefreshReport", "SegmentCount", "Stopped", "refresh"),
    "places": ("Place",),
    "variables": ("CompiledVariables", "check_variables", "compile_variables", "in_document"),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Catalogue",
    "CompiledVariables",
    "Definition",
    "Explained",
    "Place",
    "RefreshReport",
    "SegmentCount",
    "Stopped",
    "check",
    "check_variables",
    "compile_variables",
    "explain",
    "failed_fields",
    "in_document",
    "load",
    "read",
    "refresh",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'alongside.segments' has no attribute {name!r}")
    value = getattr(import_module(f"alongside.segments.{_HOME[name]}"), name)
    globals()[name] = value
    return value
