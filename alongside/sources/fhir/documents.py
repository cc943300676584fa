"""Files to resources: single ones, bundles (also nested and of transactions), and NDJSON line by line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, BinaryIO

from alongside.sources.fhir.elements import Reference, mappings, reference_parts
from alongside.sources.text import FileFault

Json = dict[str, Any]
#: One line of NDJSON, or one document, may not be larger: it is held in memory as a whole.
MAX_DOCUMENT_BYTES = 512 << 20


@dataclass(frozen=True)
class Directory:
    """What references of one bundle point to: full URL -> resource."""

    by_url: dict[str, Json] = field(default_factory=dict)

    def find(self, resource: Json, reference: Any) -> Reference | None:
        """Type and id that a Reference element means, as far as this document tells."""
        text = reference.get("reference") if isinstance(reference, dict) else None
        if not isinstance(text, str) or not text:
            return None
        target = self.target(resource, text)
        if text.startswith("#"):
            # A contained resource has no identity of its own beyond the resource that holds it.
            return Reference(str((target or {}).get("resourceType", "")), "")
        if target is not None:
            return Reference(str(target.get("resourceType", "")), resource_id(target, text))
        parts = reference_parts(text)
        kind = reference.get("type")
        return Reference(kind, parts.id) if not parts.type and isinstance(kind, str) else parts

    def target(self, resource: Json, text: str) -> Json | None:
        """The resource itself, when it is contained or stands in the same bundle."""
        if text.startswith("#"):
            return next((item for item in mappings(resource.get("contained")) if item.get("id") == text[1:]), None)
        return self.by_url.get(text)


@dataclass(frozen=True)
class Found:
    """One resource of a document. `row` is its 1-based number (entry or line) in the file."""

    resource: Json
    id: str
    row: int
    directory: Directory


@dataclass(frozen=True)
class Unreadable:
    """A place of a document that holds no resource."""

    row: int
    rule: str
    detail: str = ""


def resource_id(resource: Json, url: str) -> str:
    """The resource's id, or the uuid under which a transaction created it."""
    own = resource.get("id")
    return own if isinstance(own, str) and own else reference_parts(url).id


def read_document(stream: BinaryIO, *, lines: bool) -> Iterator[Found | Unreadable]:
    """All resources of one file; a JSON file that does not parse raises `FileFault`, a line is told as `Unreadable`."""
    if lines:
        yield from _read_lines(stream)
        return
    raw = stream.read(MAX_DOCUMENT_BYTES + 1)
    if len(raw) > MAX_DOCUMENT_BYTES:
        raise FileFault(f"the document is larger than {MAX_DOCUMENT_BYTES >> 20} MB", "export it as NDJSON")
    document = _parse(raw)
    if document is None:
        raise FileFault("the file is not valid JSON", "resend it")
    yield from _resources(document, 1)


def _read_lines(stream: BinaryIO) -> Iterator[Found | Unreadable]:
    row = 0
    for raw in iter(lambda: stream.readline(MAX_DOCUMENT_BYTES), b""):
        if not raw.strip():
            continue
        row += 1
        document = _parse(raw)
        if document is None:
            yield Unreadable(row, "not_fhir", "the line is not valid JSON")
        else:
            yield from (_renumbered(item, row) for item in _resources(document, row))


def _renumbered(item: Found | Unreadable, row: int) -> Found | Unreadable:
    if isinstance(item, Found):
        return Found(item.resource, item.id, row, item.directory)
    return Unreadable(row, item.rule, item.detail)


def _parse(raw: bytes) -> Any:
    try:
        # Decimals keep the digits that were written; 1.10 stays 1.10.
        return json.loads(raw, parse_float=Decimal)
    except (ValueError, RecursionError):
        return None


def _resources(document: Any, row: int) -> Iterator[Found | Unreadable]:
    if not isinstance(document, dict) or not isinstance(document.get("resourceType"), str):
        yield Unreadable(row, "not_fhir", "it has no resourceType")
    elif document["resourceType"] == "Bundle":
        yield from _bundle(document)
    else:
        yield Found(document, resource_id(document, ""), row, Directory())


def _bundle(bundle: Json) -> Iterator[Found | Unreadable]:
    entries = bundle.get("entry", [])
    if not isinstance(entries, list):
        yield Unreadable(1, "not_fhir", "Bundle.entry is not a list")
        return
    directory = _directory(entries)
    for row, entry in enumerate(entries, start=1):
        resource = entry.get("resource") if isinstance(entry, dict) else None
        if not isinstance(resource, dict) or not isinstance(resource.get("resourceType"), str):
            yield Unreadable(row, "not_fhir", "the entry holds no resource")
        elif resource["resourceType"] == "Bundle":
            yield from (_renumbered(item, row) for item in _bundle(resource))
        else:
            yield Found(resource, resource_id(resource, str(entry.get("fullUrl", ""))), row, directory)


def _directory(entries: list[Any]) -> Directory:
    """Resources by full URL and by Type/id, so that both forms of reference are found."""
    found: dict[str, Json] = {}
    for entry in mappings(entries):
        resource, url = entry.get("resource"), entry.get("fullUrl")
        if isinstance(resource, dict):
            if isinstance(url, str):
                found[url] = resource
            if isinstance(resource.get("id"), str):
                found[f"{resource.get('resourceType')}/{resource['id']}"] = resource
    return Directory(found)
