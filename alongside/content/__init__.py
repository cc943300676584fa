"""What patients read: catalogue, rendering, batches and the claims lint.

Light to import (no DuckDB, Arrow or pandas), because every delivery worker does.
"""

from alongside.content.batches import BatchGroup, Rendered, substitute
from alongside.content.catalogue import ContentCatalogue, Message, load, load_leniently
from alongside.content.checks import check, faults_of
from alongside.content.definition import MessageDefinition
from alongside.content.environment import RenderFailed
from alongside.content.lint import Linter, LintFinding, lint
from alongside.content.message import CompiledMessage
from alongside.content.salutation import salutation
from alongside.content.standard import HospitalWords, built_in_values

__all__ = [
    "BatchGroup",
    "CompiledMessage",
    "ContentCatalogue",
    "HospitalWords",
    "LintFinding",
    "Linter",
    "Message",
    "MessageDefinition",
    "RenderFailed",
    "Rendered",
    "built_in_values",
    "check",
    "faults_of",
    "lint",
    "load",
    "load_leniently",
    "salutation",
    "substitute",
]
