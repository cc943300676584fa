"""From the files a person wrote to the body that is rendered: layout, MJML, and Jinja2 that survives both.

`{% extends %}`, `{% block %}` and `{% include %}` are resolved here, once per body. Every other piece of Jinja2 belongs
to the recipient: it is replaced by an opaque word, carried through the layout and through MJML, and put back. MJML
therefore runs once per template, never per message.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import lru_cache
from pathlib import Path

from jinja2 import BaseLoader, Environment, StrictUndefined, TemplateNotFound, meta, nodes
from jinja2.exceptions import TemplateAssertionError, TemplateSyntaxError

from alongside.content.environment import message_environment
from alongside.model.enums import Locale
from alongside.model.errors import ConfigurationInvalid
from alongside.model.findings import Finding, nearest

_STRINGS = r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\""
_COMMENT = r"\{#.*?#\}"
_PIECE = re.compile(rf"({_COMMENT})|\{{\{{(?:{_STRINGS}|.)*?\}}\}}|\{{%(?:{_STRINGS}|.)*?%\}}", re.DOTALL)
_LAYOUT = re.compile(r"\{%[-+]?\s*(?:extends|block|endblock|include)\b|\{\{-?\s*super\(\)\s*-?\}\}")
_WORD = re.compile(r"xJ(\d{20})Jx")
_TAG = re.compile(r"<!--.*?-->|<(/?)([a-zA-Z][\w-]*)((?:\"[^\"]*\"|'[^']*'|[^'\">])*?)(/?)>", re.DOTALL)
#: MJML elements that hold elements, not text: a piece of Jinja2 directly inside needs a carrier of its own.
_ROWS = {"mj-body", "mj-wrapper"}
_CELLS = {"mj-column", "mj-hero"}
_FORBIDDEN = {"mjml", "mj-section", "mj-group", "mj-navbar", "mj-social", "mj-accordion", "mj-carousel", "mj-head"}
_ELEMENTS = frozenset(
    name if name == "mjml" else f"mj-{name}"
    for name in (
        *("mjml", "head", "body", "title", "preview", "attributes", "all", "class", "style", "font", "breakpoint"),
        *("raw", "html-attributes", "selector", "html-attribute", "wrapper", "section", "group", "column", "hero"),
        *("text", "button", "divider", "spacer", "table", "image", "social", "social-element", "navbar"),
        *("navbar-link", "accordion", "accordion-element", "accordion-title", "accordion-text", "carousel"),
        *("carousel-image",),
    )
)
#: A condition around elements of a column travels as an element of its own, which is taken off again after MJML.
_CARRIED = re.compile(r"<tr><td[^>]*><div[^>]*>\s*xC(\d{20})Cx\s*</div></td></tr>")


#: Jinja2 put aside: the number in its word -> its text.
Pieces = Mapping[str, str]


@lru_cache(maxsize=512)
def _protected(source: str) -> tuple[str, Pieces]:
    """The source with the recipient's Jinja2 replaced by words; layout statements stay.

    The same text has the same word in every file, so that a layout is compiled once for all messages that extend it.
    """
    pieces: dict[str, str] = {}

    def swap(match: re.Match[str]) -> str:
        text = match.group(0)
        if match.group(1) or _LAYOUT.match(text):
            return text
        number = f"{int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), 'big'):020d}"
        pieces[number] = text
        return f"xJ{number}Jx"

    return _PIECE.sub(swap, source), pieces


def _pieces(root: Path, path: Path) -> Pieces:
    """What is put aside of a file and of every layout file that it reads. A missing one is named with its line."""
    return {number: text for file in files_of(root, path) for number, text in _protected(_read(file))[1].items()}


def _restored(text: str, pieces: Pieces) -> str:
    return _WORD.sub(lambda match: pieces[match.group(1)], text)


class _Loader(BaseLoader):
    def __init__(self, root: Path) -> None:
        self.root = root

    def get_source(self, environment: Environment, template: str) -> tuple[str, str, Callable[[], bool]]:
        path = _inside(self.root, template)
        if path is None or not path.is_file():
            raise TemplateNotFound(template)
        source = _read(path)
        return _protected(source)[0], str(path), lambda: path.is_file() and _read(path) == source


@lru_cache(maxsize=8)
def _layouts(root: Path) -> Environment:
    """Where layout is resolved; compiled layouts are kept for as long as their files stay as they are."""
    return Environment(
        loader=_Loader(root),
        autoescape=False,  # noqa: S701 - only layout is resolved here; values are escaped when a message is rendered
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


@lru_cache(maxsize=512)
def _inside(root: Path, name: str) -> Path | None:
    path = (root / name).resolve()
    return path if path.is_relative_to(root.resolve()) else None


@lru_cache(maxsize=512)
def _parsed(path: Path, source: str) -> nodes.Template:
    """The syntax tree of one file as written; a syntax error raises `ConfigurationInvalid` with its line.

    Every message reads the layout: the same text is parsed once.
    """
    try:
        return message_environment(Locale.EN, "UTC").parse(source, filename=str(path))
    except TemplateSyntaxError as error:
        finding = Finding(str(path), error.lineno, "", f"template syntax: {error.message}", "correct this line")
        raise ConfigurationInvalid([finding]) from error


def free_names(path: Path) -> frozenset[str]:
    """Variables that a file reads. An unknown filter raises `ConfigurationInvalid` with its line."""
    return _free_names(path, _read(path))


def lines_of(path: Path, names: Collection[str]) -> list[tuple[str, int]]:
    """Where a file reads these variables: name and line, sorted."""
    tree = _parsed(path, _read(path))
    return sorted({(node.name, node.lineno) for node in tree.find_all(nodes.Name) if node.name in names})


@lru_cache(maxsize=512)
def _free_names(path: Path, source: str) -> frozenset[str]:
    tree = _parsed(path, source)
    try:
        return frozenset(meta.find_undeclared_variables(tree))
    except TemplateAssertionError as error:
        filters = message_environment(Locale.EN, "UTC").filters
        wrong = re.search(r"'(\w+)'", error.message or "")
        remedy = (nearest(wrong.group(1), filters) if wrong else "") or f"filters: {', '.join(sorted(filters))}"
        raise ConfigurationInvalid([Finding(str(path), error.lineno, "", error.message or "", remedy)]) from error


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigurationInvalid([Finding(str(path), 0, "", "is not UTF-8", "save it as UTF-8")]) from error
    except OSError as error:
        raise ConfigurationInvalid([Finding(str(path), 0, "", f"cannot be read: {error.strerror}")]) from error


def files_of(root: Path, path: Path) -> Iterator[Path]:
    """The file and, in order of reading, every layout file that it extends or includes, each once."""
    seen: set[Path] = set()
    queue = [path]
    while queue:
        current = queue.pop(0)
        if current in seen:
            continue
        seen.add(current)
        yield current
        queue += [_layout_file(root, current, node) for node in _layout_statements(current, _read(current))]


@lru_cache(maxsize=512)
def _layout_statements(path: Path, source: str) -> tuple[nodes.Node, ...]:
    return tuple(_parsed(path, source).find_all((nodes.Extends, nodes.Include)))


def _layout_file(root: Path, current: Path, node: nodes.Node) -> Path:
    name = getattr(node.template, "value", None) if isinstance(node, nodes.Extends | nodes.Include) else None
    path = _inside(root, name) if isinstance(name, str) else None
    if path is None or not path.is_file():
        what = f"layout {name!r} does not exist" if name else "a layout's name must be written out"
        raise ConfigurationInvalid([Finding(str(current), node.lineno, "", what, "layouts lie in templates/_layout")])
    return path


def fingerprint(root: Path, path: Path) -> str:
    """Hash over the texts of a body and its layout."""
    digest = hashlib.sha256()
    for file in files_of(root, path):
        digest.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def compose_text(root: Path, path: Path) -> str:
    """The Jinja2 source of a text body, with its layout resolved."""
    pieces = _pieces(root, path)
    return _restored(_compose(root, path), pieces)


def compose_html(root: Path, path: Path) -> str:
    """The Jinja2 source of an HTML body: layout resolved, MJML compiled, CSS inlined."""
    if fault := _fault(_read(path)):
        line, what = fault
        raise ConfigurationInvalid([Finding(str(path), line, "", f"MJML: {what}", "correct this element")])
    pieces = _pieces(root, path)
    html = _mjml(_carry(_compose(root, path), pieces, path), path)
    return _restored(_CARRIED.sub(r"xJ\1Jx", html), pieces)


def _compose(root: Path, path: Path) -> str:
    return _layouts(root).get_template(path.relative_to(root).as_posix()).render()


def _carry(mjml: str, pieces: Pieces, path: Path) -> str:
    """Give every condition that stands between elements a carrier which MJML keeps in its place."""
    out: list[str] = []
    stack: list[str] = []
    position = 0
    for tag in _TAG.finditer(mjml):
        out += [_carried(mjml[position : tag.start()], stack, pieces, path), tag.group(0)]
        position = tag.end()
        _step(stack, tag)
    return "".join([*out, mjml[position:]])


def _step(stack: list[str], tag: re.Match[str]) -> str:
    """Move over one tag; what is wrong with it, or the empty string."""
    name = tag.group(2)
    if name is None or not name.startswith("mj"):
        return ""
    if name not in _ELEMENTS:
        return f"<{name}> is no MJML element"
    if tag.group(1):
        expected = stack.pop() if stack else "nothing"
        return "" if expected == name else f"</{name}> closes where {expected} is open"
    if not tag.group(4):
        stack.append(name)
    return ""


def _carried(text: str, stack: list[str], pieces: Pieces, path: Path) -> str:
    inner = stack[-1] if stack else ""
    words = _WORD.findall(text) if inner in _ROWS | _CELLS | _FORBIDDEN else []
    if not words:
        return text
    printed = [pieces[word] for word in words if not pieces[word].startswith("{%")]
    if printed or inner in _FORBIDDEN:
        what = f"{printed[0] if printed else 'a condition'} stands directly inside <{inner}>"
        remedy = "put placeholders into text, and conditions around a section or an element of a column"
        raise ConfigurationInvalid([Finding(str(path), _line(path, pieces[words[0]]), "", what, remedy)])
    carrier = r"<mj-raw>\g<0></mj-raw>" if inner in _ROWS else r"<mj-text>xC\1Cx</mj-text>"
    return _WORD.sub(carrier, text)


def _line(path: Path, text: str) -> int:
    """The line where the text stands, 0 unless it stands there exactly once."""
    source = _read(path)
    return source.count("\n", 0, source.index(text)) + 1 if source.count(text) == 1 else 0


def _mjml(source: str, path: Path) -> str:
    import mrml

    try:
        output = mrml.to_html(source, None, mrml.RenderOptions(fonts={}))
    except Exception as error:  # mrml raises plain OSError with the parser's words
        reason = _WORD.sub("…", str(error))[:200]
        finding = Finding(str(path), 0, "", f"MJML: {reason}", "check that tags are closed and attributes quoted")
        raise ConfigurationInvalid([finding]) from error
    # Inlining CSS writes a spacer's reference out, and with one such character a text of ASCII takes twice the memory
    # and is encoded anew wherever it goes.
    return str(output.content).replace("\u200a", "&#8202;")


def _fault(source: str) -> tuple[int, str] | None:
    """The first unknown, unclosed or crossed MJML element as written, with its line (mrml itself knows no lines)."""
    stack: list[str] = []
    opened: list[int] = []
    for tag in _TAG.finditer(source):
        depth, line = len(stack), source.count("\n", 0, tag.start()) + 1
        if what := _step(stack, tag):
            known = nearest(tag.group(2), _ELEMENTS)
            return line, f"{what}; {known}" if "no MJML" in what and known else what
        if len(stack) > depth:
            opened.append(line)
        elif len(stack) < depth:
            opened.pop()
    return (opened[-1], f"<{stack[-1]}> is never closed") if stack else None
