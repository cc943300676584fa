"""YAML with line numbers, so that every fault can name its file, line and field."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from alongside.model.errors import ConfigurationInvalid
from alongside.model.findings import Finding, nearest

Model = TypeVar("Model", bound=BaseModel)
Place = tuple[str | int, ...]
MAX_BYTES = 2_000_000


@dataclass(frozen=True)
class Document:
    """Parsed YAML and the 1-based line of every key and list item, by path from the root."""

    path: Path
    data: Any
    lines: dict[Place, int] = field(default_factory=dict)
    faults: tuple[Finding, ...] = ()

    def line(self, *place: str | int) -> int:
        """The line of the field, or of its nearest ancestor that stands in the file."""
        for length in range(len(place), -1, -1):
            if (found := self.lines.get(tuple(place[:length]))) is not None:
                return found
        return 1

    def finding(self, *place: str | int, what: str, remedy: str = "", severity: str = "error") -> Finding:
        """A finding at this field of this file."""
        name = ".".join(str(part) for part in place)
        return Finding(str(self.path), self.line(*place), name, what, remedy, severity)


def read_document(path: Path) -> Document:
    """Read one YAML file; syntax errors and duplicate keys raise `ConfigurationInvalid`."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigurationInvalid(
            [
                Finding(
                    str(path),
                    0,
                    "",
                    f"cannot be read: {error.strerror}",
                    "check the path and its permissions",
                )
            ]
        ) from error
    if len(raw) > MAX_BYTES:
        raise ConfigurationInvalid([Finding(str(path), 0, "", f"is larger than {MAX_BYTES:,} bytes", "split it")])
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ConfigurationInvalid([Finding(str(path), line, "", "is not UTF-8", "save it as UTF-8")]) from error
    return parse_document(path, text)


def parse_document(path: Path, text: str) -> Document:
    """Parse YAML text as if it stood in `path`."""
    try:
        node, data = _parse(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = f"is not valid YAML: {error.problem or error.context}"
        line = mark.line + 1 if mark else 0
        remedy = "check indentation, colons and quotes on this line and the one before"
        raise ConfigurationInvalid([Finding(str(path), line, "", what, remedy)]) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigurationInvalid([Finding(str(path), 0, "", f"is not valid YAML: {error}")]) from error
    lines: dict[Place, int] = {}
    duplicates: list[Finding] = []
    if node is not None:
        _mark(node, (), lines, duplicates, path)
    if duplicates:
        raise ConfigurationInvalid(duplicates)
    return Document(path, data, lines)


def _parse(text: str) -> tuple[yaml.Node | None, Any]:
    """The document's node tree and its values, parsed once; libyaml is ten times faster than Python's parser."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
    try:
        node = loader.get_single_node()
        return node, None if node is None else loader.construct_document(node)
    finally:
        loader.dispose()


def _mark(
    node: yaml.Node,
    place: Place,
    lines: dict[Place, int],
    faults: list[Finding],
    path: Path,
) -> None:
    lines.setdefault(place, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key_node, value_node in node.value:
            inner = (*place, str(key_node.value))
            line = key_node.start_mark.line + 1
            if inner in lines:
                name = ".".join(map(str, inner))
                faults.append(
                    Finding(
                        str(path),
                        line,
                        name,
                        f"stands twice, first on line {lines[inner]}",
                        "keep one",
                    )
                )
            lines[inner] = line
            _mark(value_node, inner, lines, faults, path)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            lines[(*place, index)] = item.start_mark.line + 1
            _mark(item, (*place, index), lines, faults, path)


def validate(model: type[Model], document: Document) -> Model:
    """The document as this model, or `ConfigurationInvalid` with one finding per fault."""
    if not isinstance(document.data, dict):
        what = "is empty" if document.data is None else "must be a mapping of fields"
        raise ConfigurationInvalid([document.finding(what=what, remedy="see docs/ for an example")])
    try:
        return model.model_validate(document.data)
    except ValidationError as error:
        raise ConfigurationInvalid([_finding(model, document, fault) for fault in error.errors()]) from error


def read_model(model: type[Model], path: Path) -> Model:
    """Read and validate one file."""
    return validate(model, read_document(path))


def _finding(model: type[BaseModel], document: Document, fault: Any) -> Finding:
    place: Place = tuple(fault["loc"])
    kind = str(fault["type"])
    if kind == "extra_forbidden":
        known = _fields_at(model, place[:-1])
        remedy = nearest(str(place[-1]), known) or f"known fields: {', '.join(sorted(known))}"
        return document.finding(*place, what="is not a known field", remedy=remedy)
    if kind == "missing":
        return document.finding(*place, what="is required and missing", remedy="add it")
    if kind in {"enum", "literal_error"}:
        expected = str(fault.get("ctx", {}).get("expected", ""))
        options = [part.strip(" '") for part in expected.replace(" or ", ",").split(",")]
        hint = nearest(str(fault.get("input")), options) or f"one of: {expected}"
        return document.finding(*place, what=f"{fault.get('input')!r} is not allowed", remedy=hint)
    message = str(fault["msg"]).removeprefix("Value error, ")
    return document.finding(*place, what=message[:1].lower() + message[1:])


def _fields_at(model: type[BaseModel], place: Sequence[str | int]) -> list[str]:
    """Field names of the model that stands at this place, as far as annotations tell."""
    current: Any = model
    for part in place:
        if not (isinstance(current, type) and issubclass(current, BaseModel)):
            break
        if isinstance(part, str) and part in current.model_fields:
            current = _inner_model(current.model_fields[part].annotation)
    if isinstance(current, type) and issubclass(current, BaseModel):
        return list(current.model_fields)
    return []


def _inner_model(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        if (found := _inner_model(argument)) is not None:
            return found
    return None
