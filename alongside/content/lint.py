"""The claims lint: what a rendered message may not say, and what it must not lack (G4).

A text is read paragraph by paragraph. Each paragraph yields facts (a phrase occurs, a source is named, the hospital is
named); findings follow from the facts of all paragraphs. A batch is linted once for what its messages share and then
only where their values stand, with the same findings as linting each message whole.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from alongside.content.batches import BatchGroup, Rendered, substitute
from alongside.content.lint_rules import LintRules, Phrase, folded, shipped_rules
from alongside.content.visible import Link, html_paragraphs, links, text_paragraphs
from alongside.model.enums import Channel, Locale, Purpose, Severity

#: Long enough to hold who wrote and how to leave.
_IN_FULL = frozenset({Channel.EMAIL, Channel.LETTER})
_URL = re.compile(r"https?://[!-~]+")
_LEFTOVERS = (
    ("{{ }}", re.compile(r"\{\{|\}\}")),
    ("{% %}", re.compile(r"\{%|%\}|\{#")),
    ("-s01-", re.compile(r"(?<![A-Za-z0-9])-[a-z]\d{2,}-(?![A-Za-z0-9])")),
    ("None", re.compile(r"\bNone\b(?!\s+of)")),
    ("nan", re.compile(r"\b(?:nan|NaN|NaT)\b|<NA>")),
    ("undefined", re.compile(r"\bundefined\b")),
    ("null", re.compile(r"\bnull\b")),
)
_LEFTOVER_NAMES = frozenset(shown for shown, _ in _LEFTOVERS)
_ANY_LEFTOVER = re.compile("|".join(pattern.pattern for _, pattern in _LEFTOVERS))
_OPT_OUT = re.compile(r"退订|取消订阅|unsubscribe", re.IGNORECASE)
#: On paper: whom to call or write to.
_LETTER_OPT_OUT = re.compile(r"不想再收到|停寄|\bno (?:more |further )?letters\b", re.IGNORECASE)
_SMS_OPT_OUT = re.compile(r"拒收请回复R\s*$|\bSTOP\b")
#: Mark-up that reaches beyond its paragraph, and mark-up at all.
_STRUCTURE = re.compile(r"<(?:!--|/?(?:a|style|script|title)\b)", re.IGNORECASE)
_MARKUP = re.compile(r"[<>\"']")
#: Here the account's own name stands above every message.
_NAMED_ABOVE = frozenset({Channel.WECHAT})
_MEMO = 20_000
_ROWS = 2_000
_TEXTS = 64
_LINK = "https://u"


@dataclass(frozen=True, order=True)
class LintFinding:
    """One finding. `phrase` is the rule's own wording, never a recipient's value; `where` is subject, html or text."""

    rule: str
    phrase: str
    where: str
    severity: str

    @property
    def critical(self) -> bool:
        return self.severity == Severity.CRITICAL.value

    def __str__(self) -> str:
        return f"{self.where}: {self.rule}: {self.phrase}"


@dataclass(frozen=True)
class Identity:
    """Who must be recognisable as the sender."""

    name: str
    postal_address: str


Fact = Phrase | str


class Linter:
    """Rules, and the hospital whose name must stand in every message (`None`: that rule is not examined)."""

    def __init__(self, rules: LintRules, identities: Mapping[Locale, Identity] | None = None) -> None:
        self.rules = rules
        self._applicable: dict[tuple[Purpose, Channel], PhraseIndex] = {}
        self._prepared: dict[tuple[Any, ...], PreparedLint] = {}
        self._examined: dict[tuple[Any, ...], dict[tuple[str, str], frozenset[Fact]]] = {}
        self._named = {
            locale: Identity(rules.normalise(one.name), rules.normalise(one.postal_address))
            for locale, one in (identities or {}).items()
        }

    def lint(self, rendered: Rendered, purpose: Purpose, locale: Locale, channel: Channel) -> list[LintFinding]:
        """Findings on one message, sorted, each once."""
        return PreparedLint(self, rendered, frozenset(), purpose, locale, channel).row({})

    def lint_group(
        self, group: BatchGroup, purpose: Purpose, locale: Locale, channel: Channel
    ) -> dict[int, list[LintFinding]]:
        """Findings on every message of a batch: index -> findings (empty where there are none)."""
        group = group.origin or group
        tokens = frozenset(group.rows[0][1]) if group.rows else frozenset()
        prepared = self._prepare(group.skeleton, tokens, purpose, locale, channel)
        return {index: prepared.row(substitutions) for index, substitutions in group.rows}

    def _prepare(
        self, skeleton: Rendered, tokens: frozenset[str], purpose: Purpose, locale: Locale, channel: Channel
    ) -> PreparedLint:
        """Chunks of one campaign share their texts: what was learnt about one serves the next."""
        if not tokens:
            return PreparedLint(self, skeleton, tokens, purpose, locale, channel)
        key = (skeleton, tokens, purpose, locale, channel)
        if key not in self._prepared:
            if len(self._prepared) >= _TEXTS:
                self._prepared.clear()
            self._prepared[key] = PreparedLint(self, skeleton, tokens, purpose, locale, channel)
        return self._prepared[key]

    def identity(self, locale: Locale) -> Identity | None:
        """The sender's name and address in this language, normalised as texts are."""
        return self._named.get(locale)

    def examined(self, purpose: Purpose, locale: Locale, channel: Channel) -> dict[tuple[str, str], frozenset[Fact]]:
        """What is known of (where, paragraph): messages with texts of their own still share most paragraphs."""
        return self._examined.setdefault((purpose, locale, channel), {})

    def applicable(self, purpose: Purpose, channel: Channel) -> PhraseIndex:
        """The phrases for this purpose and channel."""
        key = (purpose, channel)
        if key not in self._applicable:
            self._applicable[key] = PhraseIndex(
                phrase
                for phrase in self.rules.phrases
                if purpose in phrase.rule.purposes and (not phrase.rule.channels or channel in phrase.rule.channels)
            )
        return self._applicable[key]


class PhraseIndex:
    """Phrases by their first character: of some hundred, few can begin in a given text."""

    def __init__(self, phrases: Iterable[Phrase]) -> None:
        self._free: list[Phrase] = []
        self._by_first: dict[str, list[Phrase]] = {}
        for phrase in phrases:
            if phrase.needle:
                self._by_first.setdefault(phrase.needle[0], []).append(phrase)
            else:
                self._free.append(phrase)

    def found_in(self, text: str) -> Iterable[Phrase]:
        """Phrases that occur in normalised text."""
        lowered = folded(text)
        for first in self._by_first.keys() & set(lowered):
            for phrase in self._by_first[first]:
                if phrase.needle in lowered and phrase.expression.search(text):
                    yield phrase
        yield from (phrase for phrase in self._free if phrase.expression.search(text))


class PreparedLint:
    """The lint of a shared text; `row` completes it with one recipient's values."""

    def __init__(
        self,
        linter: Linter,
        skeleton: Rendered,
        tokens: frozenset[str],
        purpose: Purpose,
        locale: Locale,
        channel: Channel,
    ) -> None:
        self._rules, self._purpose, self._channel = linter.rules, purpose, channel
        self._linter, self._skeleton, self._locale = linter, skeleton, locale
        self._phrases = linter.applicable(purpose, channel)
        self._identity = linter.identity(locale)
        self._examined = linter.examined(purpose, locale, channel)
        self._token = re.compile("|".join(map(re.escape, sorted(tokens))) or r"(?!)")
        #: Links whose words say that one may leave, or may say so once they are filled in.
        self._links = [
            link for link in links(skeleton.html) if _OPT_OUT.search(link.words) or self._token.search(link.words)
        ]
        self._html_tokens = sorted(set(self._token.findall(skeleton.html)))
        self._in_tags = [
            token for token in self._html_tokens if re.search(rf"<[^<>]*{re.escape(token)}", skeleton.html)
        ]
        self._memo: dict[tuple[Any, ...], frozenset[Fact]] = {}
        self._rows: dict[tuple[Any, ...], list[LintFinding]] = {}
        paragraphs = {"subject": [skeleton.subject]}
        if channel is not Channel.LETTER:  # a letter on paper has no text beside
            paragraphs["text"] = text_paragraphs(skeleton.text)
        if skeleton.html:
            paragraphs["html"] = html_paragraphs(skeleton.html)
        #: where -> facts that hold for every row; where -> paragraphs that differ, each with its tokens
        self._settled: dict[str, frozenset[Fact]] = {}
        self._open: dict[str, list[tuple[str, tuple[str, ...]]]] = {}
        for where, parts in paragraphs.items():
            self._settled[where] = self._union(self._examine(where, p) for p in parts if not self._token.search(p))
            self._open[where] = [(p, tuple(found)) for p in parts if (found := self._token.findall(p))]

    def row(self, substitutions: Mapping[str, str]) -> list[LintFinding]:
        """Findings on the message with these substitutions (those of html escaped, as in a batch's rows)."""
        if self._html_tokens and self._changes_structure(substitutions):
            rendered = substitute(self._skeleton, substitutions)
            return self._linter.lint(rendered, self._purpose, self._locale, self._channel)
        # Addresses of links differ per recipient and say nothing: without them few paragraphs are new.
        plain = {token: _LINK if _URL.fullmatch(value) else value for token, value in substitutions.items()}
        opts_out = any(self._opts_out(link, substitutions) for link in self._links)
        key = (opts_out, *plain.items())
        known = self._rows.get(key)
        if known is None:
            if len(self._rows) >= _ROWS:
                self._rows.clear()
            known = self._rows[key] = self._row(plain, opts_out)
        return list(known)

    def _row(self, values: Mapping[str, str], opts_out: bool) -> list[LintFinding]:
        found: set[LintFinding] = set()
        for where, settled in self._settled.items():
            facts = settled | self._union(self._open_facts(where, values))
            if where == "html" and opts_out:
                facts |= {"opt_out"}
            found.update(self._findings(where, facts))
        return sorted(found)

    def _changes_structure(self, substitutions: Mapping[str, str]) -> bool:
        """Whether a value brings links of its own, or mark-up where a tag is open: then only the whole text tells.

        Values of placeholders are escaped; those of loops are pieces of a body.
        """
        values = [substitutions[token] for token in self._html_tokens]
        if "<" not in "".join(values):
            return any('"' in substitutions[token] or "'" in substitutions[token] for token in self._in_tags)
        return any(_STRUCTURE.search(value) for value in values) or any(
            _MARKUP.search(substitutions[token]) for token in self._in_tags
        )

    def _open_facts(self, where: str, values: Mapping[str, str]) -> Iterable[frozenset[Fact]]:
        for number, (paragraph, tokens) in enumerate(self._open[where]):
            key = (where, number, *[values[token] for token in tokens])
            found = self._memo.get(key)
            if found is None:
                if len(self._memo) >= _MEMO:
                    self._memo.clear()
                filled = self._filled(where, paragraph, values)
                found = self._memo[key] = self._union(self._examine(where, text) for text in filled)
            yield found

    def _filled(self, where: str, paragraph: str, values: Mapping[str, str]) -> Iterable[str]:
        if where == "html":
            if any("<" in values[token] for token in self._token.findall(paragraph)):
                source = html.escape(paragraph, quote=False)
                return html_paragraphs(self._token.sub(lambda match: values[match.group(0)], source))
            return [self._token.sub(lambda match: html.unescape(values[match.group(0)]), paragraph)]
        text = self._token.sub(lambda match: values[match.group(0)], paragraph)
        return text_paragraphs(text) if where == "text" else [text]

    def _opts_out(self, link: Link, substitutions: Mapping[str, str]) -> bool:
        href, words = (
            self._token.sub(lambda match: html.unescape(substitutions[match.group(0)]), text)
            for text in (link.href, link.words)
        )
        return href.startswith(("https://", "http://")) and bool(_OPT_OUT.search(words))

    @staticmethod
    def _union(facts: Iterable[frozenset[Fact]]) -> frozenset[Fact]:
        return frozenset().union(*facts)

    def _examine(self, where: str, paragraph: str) -> frozenset[Fact]:
        key = (where, paragraph)
        found = self._examined.get(key)
        if found is None:
            if len(self._examined) >= _MEMO:
                self._examined.clear()
            found = self._examined[key] = self._facts(where, paragraph)
        return found

    def _facts(self, where: str, paragraph: str) -> frozenset[Fact]:
        text = self._rules.normalise(paragraph)
        facts: set[Fact] = {phrase for phrase in self._phrases.found_in(text) if where in phrase.rule.where}
        if _ANY_LEFTOVER.search(text):
            facts.update(shown for shown, pattern in _LEFTOVERS if pattern.search(text))
        if any(mark in text for mark in self._rules.source_marks):
            facts.add("sourced")
        if (where == "text" and self._opt_out_in_text(paragraph)) or (
            self._channel is Channel.LETTER and _LETTER_OPT_OUT.search(paragraph)
        ):
            facts.add("opt_out")
        if self._identity and self._identity.name in text:
            facts.add("name")
        if self._identity and self._identity.postal_address in text:
            facts.add("address")
        return frozenset(facts)

    def _opt_out_in_text(self, paragraph: str) -> bool:
        if self._channel is Channel.SMS:
            return bool(_SMS_OPT_OUT.search(paragraph))
        return bool(_OPT_OUT.search(paragraph) and _URL.search(paragraph))

    def _findings(self, where: str, facts: frozenset[Fact]) -> Iterable[LintFinding]:
        for fact in facts:
            if isinstance(fact, Phrase):
                if not (fact.rule.unless_sourced and "sourced" in facts):
                    yield LintFinding(fact.rule.rule, fact.shown, where, fact.rule.severity.value)
            elif fact in _LEFTOVER_NAMES:
                yield LintFinding("unresolved_placeholder", fact, where, Severity.CRITICAL.value)
        if where != "subject":
            yield from self._lacking(where, facts)

    def _lacking(self, where: str, facts: frozenset[Fact]) -> Iterable[LintFinding]:
        marketing = self._purpose is Purpose.MARKETING
        severity = Severity.CRITICAL.value if marketing else Severity.WARNING.value
        if "opt_out" not in facts and (marketing or self._channel in _IN_FULL):
            yield LintFinding("missing_opt_out", "unsubscribe", where, severity)
        if self._identity and "name" not in facts and self._channel not in _NAMED_ABOVE:
            yield LintFinding("missing_sender_identity", "hospital name", where, Severity.CRITICAL.value)
        if self._identity and marketing and self._channel in _IN_FULL and "address" not in facts:
            yield LintFinding("missing_postal_address", "postal address", where, Severity.CRITICAL.value)


def lint(
    rendered: Rendered, purpose: Purpose, locale: Locale, channel: Channel, linter: Linter | None = None
) -> list[LintFinding]:
    """Findings on one rendered message. Without a `linter` (see `ContentCatalogue.linter`) the shipped rules are used
    and the sender's identity is not examined."""
    return (linter or Linter(shipped_rules())).lint(rendered, purpose, locale, channel)
