"""Skeletons for `alongside new`: short, commented, and valid once the names in them exist."""

from __future__ import annotations

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
channel: email
priority: 30                   # 0-100, higher plans first and wins the contact budget
repeat: {{every_days: 180}}      # or {{per: next_appointment_at}}, or {{}} for once
envelope:
  max_audience: 1000           # an unattended run that would send more waits for a person
"""
_EXPERIMENT = """\
name: {name}
campaign: flu_vaccine          # a file of config/campaigns/
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
decide: ship_winner
"""
_MESSAGE = """\
purpose: education             # care | education | survey | marketing | research
stage: {stage}
topics: [vaccination]
audience: 用一句话说明写给谁 / who it is written for
sender: care
channels: [email]
subject:
  email:
    zh_CN: 主题
    en: Subject
variables: {{}}
reviewers: [clinician]
expires: 2027-12-31
"""
_MJML = """\
{{% extends "_layout/email.mjml.j2" %}}
{{% block body %}}
<mj-text>{{{{ salutation }}}}</mj-text>
<mj-text>...</mj-text>
{{% endblock %}}
"""


def skeleton(kind: str, name: str) -> dict[str, str]:
    """Files to create, path -> text."""
    if kind == "segment":
        return {f"config/segments/{name}.yaml": _SEGMENT.format(name=name)}
    if kind == "campaign":
        return {f"config/campaigns/{name}.yaml": _CAMPAIGN.format(name=name)}
    if kind == "experiment":
        return {f"config/experiments/{name}.yaml": _EXPERIMENT.format(name=name)}
    stage, _, _topic = name.partition("/")
    folder = f"templates/{name}"
    files = {f"{folder}/message.yaml": _MESSAGE.format(stage=stage)}
    for locale in ("zh_CN", "en"):
        files[f"{folder}/email.{locale}.mjml.j2"] = _MJML.format()
        files[f"{folder}/email.{locale}.txt.j2"] = "{{ salutation }}\n\n...\n"
    return files
