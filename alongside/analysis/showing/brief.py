"""An experiment's page as Markdown, for the Prefect artifact: the report's words and tables without its figures."""

from __future__ import annotations

from collections.abc import Sequence

from alongside.analysis.showing.section import Section
from alongside.analysis.showing.words import words
from alongside.model.enums import Locale


def brief(section: Section, locale: Locale) -> str:
    """Verdict, comparisons, parts, watch for harm, messages and remarks."""
    say = words(locale)
    # Prefect's page is narrow and cuts a table off on the right, so that what decides stands on the left.
    heads = [
        "metric",
        "variant",
        "role",
        "status",
        "difference",
        "interval",
        "variant_value",
        "control_value",
        "relative",
    ]
    rows = [
        (row.metric, row.variant, row.role, row.status, row.difference, row.interval, row.treatment, row.control,
         row.relative, row.p_value)
        for row in section.rows
    ]  # fmt: skip
    parts = [
        f"**{section.headline}**",
        *section.next_steps,
        _table([*(say[head] for head in heads), "p"], rows),
    ]
    for part in section.breakdowns:
        columns = [part.head, *(say[head] for head in ("head_count", "difference", "interval"))]
        parts += [f"### {part.title}", _table(columns, part.rows), part.note]
    if section.harm:
        columns = [
            say[key] for key in ("guardrail", "variant", "variant_value", "control_value", "harm_evidence", "status")
        ]
        watched = [
            (row.metric, row.variant, row.affected, row.control, row.evidence, row.status) for row in section.harm
        ]
        parts += [f"### {say['harm_watch']}", _table(columns, watched), section.harm_note]
    if section.delivery:
        stages = [stage for stage, _ in section.delivery[0][1]]
        counts = [(arm, *(f"{count:,}" for _, count in numbers)) for arm, numbers in section.delivery]
        parts += [f"### {say['by_arm']}", _table([say["variant"], *(say.get(name, name) for name in stages)], counts)]
    people = say["comma"].join(f"{name} {count:,}" for name, count in section.arms)
    parts.append("\n".join(f"- {remark}" for remark in (*section.remarks, f"{say['people']}{say['colon']}{people}")))
    return "\n\n".join(parts) + "\n"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |" for cells in lines)
