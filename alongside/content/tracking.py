"""Links of an e-mail that are counted when they are clicked: by a redirect of ours, whose address tells nothing.

Only links of the HTML body that lead elsewhere are counted. Those to patients' own pages change things, so nothing
comes between a patient and them; the plain text keeps its addresses, so that its reader sees where they lead.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from alongside.content.message import CompiledMessage
from alongside.model.enums import Channel
from alongside.model.tokens import LINKS

#: Index of a link that no person sees: whoever follows it follows every link.
TRAP = 0
_HREF = re.compile(r'href="([^"{}]*|[^"]*?\{\{[^"%]*\}\}[^"%]*)"')
_ELSEWHERE = re.compile(r"https?://|\{\{\s*hospital\.website\s*\}\}")
_TRAP_HTML = '<a href="{{{{ {name} }}}}" style="display:none" tabindex="-1" aria-hidden="true"></a></body>'


def variable_of(index: int) -> str:
    """The variable of a body that holds the redirect of its link of this number."""
    return f"click_url_{index}"


def links_of(compiled: CompiledMessage) -> tuple[str, ...]:
    """The addresses that are counted, as the body's source writes them; the first is number 1."""
    if compiled.channel is not Channel.EMAIL:
        return ()
    found = _HREF.findall(compiled.sources.get("html", ""))
    return tuple(dict.fromkeys(href for href in found if _is_counted(href)))


def counted(compiled: CompiledMessage) -> CompiledMessage:
    """The same message with its links as variables (`variable_of`), and the trap; its hash stays what was signed."""
    links = links_of(compiled)
    if not links:
        return compiled
    html = compiled.sources["html"]
    for index, href in enumerate(links, TRAP + 1):
        html = html.replace(f'href="{href}"', f'href="{{{{ {variable_of(index)} }}}}"')
    html = html.replace("</body>", _TRAP_HTML.format(name=variable_of(TRAP)))
    return replace(compiled, sources={**compiled.sources, "html": html})


def target_of(compiled: CompiledMessage, index: int, values: Mapping[str, Any]) -> str | None:
    """Where a link of the message leads for one reader; None where there is no such link, or it leads nowhere safe."""
    links = links_of(compiled)
    if not TRAP < index <= len(links):
        return None
    try:
        target: str = compiled.environment.from_string(links[index - 1]).render(values)
    except Exception:  # whatever a value does, a click must not end in an error
        return None
    safe = re.fullmatch(r"https?://[^\s\"<>\\]+", target)
    return target if safe else None


def _is_counted(href: str) -> bool:
    return bool(_ELSEWHERE.match(href)) and not any(name in href for name in LINKS)
