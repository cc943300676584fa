"""Skeletons for `alongside new`: short, commented, and in order for `alongside check` as they are."""

from __future__ import annotations

import re

from alongside.model.enums import Stage
from alongside.model.errors import Refused

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
KINDS = ("segment", "campaign", "experiment", "message")

_SEGMENT = """\
name: {name}
label: {{zh_CN: 待填写, en: To be written}}
description:
  zh_CN: 用一句话说明这个人群。
  en: One sentence that says who is in it.
stage: prevention              # prevention | decision | treatment | rehabilitation | follow_up
where: "not deceased and age >= 60"
"""
_CAMPAIGN = """\
name: {name}
description:
  zh_CN: 用一句话说明目的。
  en: One sentence that says what it is for.
segment: flu_vaccine_due       # a file of config/segments/
message: prevention/flu_vaccine
channels: [email]
priority: 30                   # 0-100, higher plans first and wins the contact budget
repeat: {{every_days: 180}}      # or {{per: next_appointment_at}}, or {{}} for once
# holdout: 0.05                # keep a share without it, to measure what the campaign does; never care
envelope:
  max_audience: 1000           # an unattended run that would send more waits for a person
"""
_EXPERIMENT = """\
name: {name}
campaign: flu_vaccine          # a file of config/campaigns/
# layer: {{name: reminders, from: 0.0, to: 0.5}}   # never share a person with the layer's other experiments
# unit: household              # or clinic, where people talk to each other: docs/experiments.md
hypothesis:
  zh_CN: 改动会带来什么变化？
  en: What will the change bring about?
variants:
  - {{name: control, message: prevention/flu_vaccine, share: 0.5}}
  - {{name: new, message: prevention/flu_vaccine, share: 0.5}}   # give it a message of its own
control: control
metrics:
  goal: booked_vaccination
design:
  base_rate: 0.10
  minimum_effect: 0.05
  planned_days: 14
  looks: daily                 # a verdict as soon as one is earned; final waits for the planned day
decide: ship_winner
"""
_MESSAGE = """\
purpose: education             # care | education | survey | marketing | research
stage: {stage}
topics: [vaccination]          # names of config/vocabulary.yaml that a patient can switch off
audience: 用一句话说明写给谁 / Who it is written for, in one sentence
sender: care
channels: [email]
subject:
  zh_CN: 主题
  en: Subject
variables: {{}}                  # name: {{value: an expression as in segments, example: what a preview shows}}
reviewers: [clinician]
expires: 2027-12-31            # after this day the reviewers must look at it again
"""
_MJML = """\
{{% extends "_layout/email.{locale}.mjml.j2" %}}
{{% block preview %}}{preview}{{% endblock %}}
{{% block title %}}{title}{{% endblock %}}
{{% block content %}}
    <mj-section>
      <mj-column>
        <mj-text><p class="last">{lead}</p></mj-text>
        <mj-button href="{{{{ hospital.website }}}}/appointments">{button}</mj-button>
      </mj-column>
    </mj-section>
{{% endblock %}}
"""
_TEXT = """\
{{% extends "_layout/text.{locale}.txt.j2" %}}
{{% block content %}}
{lead}

{button}{colon}{{{{ hospital.website }}}}/appointments
{{% endblock %}}
"""
_BODY_WORDS = {
    "zh_CN": {
        "preview": "邮件列表里主题后面的那一行",
        "title": "标题",
        "lead": "第一句话：这件事为什么与读者有关。",
        "button": "预约时间",
        "colon": "：",
    },
    "en": {
        "preview": "The line that mail programs show after the subject",
        "title": "Heading",
        "lead": "The first sentence: why this matters to the reader.",
        "button": "Choose a time",
        "colon": ": ",
    },
}


def skeleton(kind: str, name: str) -> dict[str, str]:
    """Files to create, path -> text.

    Raises
    ------
    Refused : the name is not one that a file of this kind may have
    """
    stage, slash, topic = name.rpartition("/")
    fits = stage in set(Stage) if kind == "message" else not slash
    if not fits or not _NAME.fullmatch(topic):
        form = f"<stage>/<topic> with a stage of {', '.join(Stage)}" if kind == "message" else "a name"
        remedy = f"Write {form}: lower-case letters, digits and _, a letter first, as in flu_vaccine."
        raise Refused(f"'{name}' is no name for a {kind}", where="alongside new", remedy=remedy)
    if kind == "segment":
        return {f"config/segments/{name}.yaml": _SEGMENT.format(name=name)}
    if kind == "campaign":
        return {f"config/campaigns/{name}.yaml": _CAMPAIGN.format(name=name)}
    if kind == "experiment":
        return {f"config/experiments/{name}.yaml": _EXPERIMENT.format(name=name)}
    folder = f"templates/{name}"
    files = {f"{folder}/message.yaml": _MESSAGE.format(stage=stage)}
    for locale, words in _BODY_WORDS.items():
        files[f"{folder}/email.{locale}.mjml.j2"] = _MJML.format(locale=locale, **words)
        files[f"{folder}/email.{locale}.txt.j2"] = _TEXT.format(locale=locale, **words)
    return files
