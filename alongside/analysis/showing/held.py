"""Why a campaign waits, in the reader's language.

The ledger keeps the reasons in English, as operators read them in logs and commands; the report is read by people who
may not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from alongside.model.enums import Locale

#: What planning writes (`alongside.outreach.approval`, `plan`, `experiments.planning`) -> the same in Chinese. Names,
#: commands and numbers stay as they are.
_CHINESE: Mapping[str, str] = {
    r"this configuration is not approved: review it with '([^']+)'": r"此配置尚未批准：请用“\1”审阅",
    r"its exact plan is not approved: review it, then '([^']+)'": r"此计划本身尚未批准：请审阅后执行“\1”",
    r"the text (\S+) expired on (\S+): have its reviewers renew it": r"文案 \1 已于 \2 到期：请审阅人重新审核",
    r"the text (\S+) was edited after it was signed: have its reviewers sign this version": (
        r"文案 \1 在签署后被修改：请审阅人签署当前版本"
    ),
    r"(\S+) messages exceed the envelope's (\S+)": r"\1 条消息超过批准上限 \2 条",
    r"(\S+) messages are more than (\S+) against (\S+) of the last run": r"\1 条消息比上次运行的 \3 条多出 \2 以上",
    r"a cost of (\S+) exceeds the envelope's (\S+)": r"费用 \1 超过批准上限 \2",
    r"(\S+) lies outside its window": r"\1 不在活动期内",
    r"it reads data that failed validation: ": "所用数据未通过校验：",
    r"(\S+) failed (\S+)(?=; |$)": r"\1 未通过 \2",
    r"experiment (\S+): underpowered: (\S+) people are expected within (\S+) days, (\S+) are needed to find (\S+) on"
    r" '([^']+)' with power (\S+) \(it would have ([^)]+)\)\. ": (
        r"实验 \1 样本不足：预计 \3 天内有 \2 人，要在“\6”上以 \7 的功效发现 \5 的差异需要 \4 人（目前功效为 \8）。"
    ),
    r"experiment (\S+): the share of '([^']+)' is below (\S+?)(?=; |$)": r"实验 \1 中“\2”的份额低于 \3",
    r"experiment (\S+): '([^']+)' and '([^']+)' are more unequal than (\S+) : 1 for a goal that is no rate": (
        r"实验 \1 的目标不是比率，而“\2”与“\3”的份额相差超过 \4 : 1"
    ),
    r"[Ss]et (design\.\w+) to (\S+?)(?=[,.]? )": r"将 \1 设为 \2",
    r"[Ww]iden the campaign's segment\.?": "扩大活动的人群。",
    r"(?:,| )? or (?=将|扩大)": "，或",
}
_PATTERNS = tuple((re.compile(pattern), chinese) for pattern, chinese in _CHINESE.items())


def held_because(state: str, reason: str, locale: Locale) -> str:
    """The reason that planning recorded for a campaign in a run, in this language.

    Parameters
    ----------
    state : of the campaign; the reason of a pause is a person's own words and stays as it is
    """
    if locale is not Locale.ZH_CN or state == "paused":
        return reason
    for pattern, chinese in _PATTERNS:
        reason = pattern.sub(chinese, reason)
    return reason.replace("; ", "；")
