"""How an alert reads, in both languages: counts, names of campaigns and channels, and the command that helps."""

from __future__ import annotations

from collections.abc import Mapping

from alongside.ledger.staff_alerts import Alert
from alongside.model.enums import Locale, StaffEvent

WORDS: Mapping[Locale, Mapping[StaffEvent, str]] = {
    Locale.ZH_CN: {
        StaffEvent.CAMPAIGN_PAUSED: "活动 {subject} 已自动暂停：退回或投诉超过上限。"
        "查看：alongside deliveries --campaign {subject}；恢复：alongside resume campaign:{subject}",
        StaffEvent.CAMPAIGN_HELD: "活动 {subject} 在最近一次任务中未发送：需要批准，或数据未通过校验。"
        "查看：alongside plan {subject}",
        StaffEvent.RUN_HELD: "任务 {subject} 启动过晚，已生成计划但未发送。放行：alongside resume run:{subject}",
        StaffEvent.INBOX_OVERDUE: "{count} 个患者来信会话已超过答复期限。查看：alongside inbox list",
        StaffEvent.CALLS_OVERDUE: "{count} 个电话已超过期限仍未拨打。查看：alongside calls list",
        StaffEvent.UNKNOWN_OVERDUE: "渠道 {subject}：{count} 条消息长时间无法确认是否已发出。处理：alongside resolve",
        StaffEvent.DEAD_LETTERS: "渠道 {subject}：一天内有 {count} 条消息被放弃。查看：alongside deliveries --dead",
        StaffEvent.EXPERIMENT_HARMS: "实验 {subject} 的一个方案已证实有害，但按配置由人决定，仍在发送。"
        "查看：alongside experiment status {subject}；"
        "全部改回对照方案：alongside experiment reverse {subject} --reason 理由",
        StaffEvent.EXPERIMENT_WAITS: "实验 {subject} 已有胜出方案，等待人工决定。"
        "结果和采用方法：alongside experiment status {subject}",
    },
    Locale.EN: {
        StaffEvent.CAMPAIGN_PAUSED: "Campaign {subject} paused itself: too much came back or was complained of. "
        "Look: alongside deliveries --campaign {subject}; go on: alongside resume campaign:{subject}",
        StaffEvent.CAMPAIGN_HELD: "Campaign {subject} did not leave in the last run: it needs approval, or its data "
        "failed validation. Look: alongside plan {subject}",
        StaffEvent.RUN_HELD: "Run {subject} began too late: it has planned and sent nothing. "
        "Release it: alongside resume run:{subject}",
        StaffEvent.INBOX_OVERDUE: "{count} conversations with patients are past their deadline. "
        "Look: alongside inbox list",
        StaffEvent.CALLS_OVERDUE: "{count} calls are past their deadline. Look: alongside calls list",
        StaffEvent.UNKNOWN_OVERDUE: "Channel {subject}: nobody can tell whether {count} messages left. "
        "Settle them: alongside resolve",
        StaffEvent.DEAD_LETTERS: "Channel {subject}: {count} messages were given up within a day. "
        "Look: alongside deliveries --dead",
        StaffEvent.EXPERIMENT_HARMS: "Experiment {subject}: a variant does proven harm and is still being sent, "
        "because people are to decide. Look: alongside experiment status {subject}; "
        "everybody back to the control: alongside experiment reverse {subject} --reason WHY",
        StaffEvent.EXPERIMENT_WAITS: "Experiment {subject}: a variant has won and waits for somebody to decide. "
        "The result, and how to take it: alongside experiment status {subject}",
    },
}
_HEADS = {Locale.ZH_CN: "{hospital}：Alongside 提醒", Locale.EN: "{hospital}: Alongside needs somebody"}
_TRIALS = {
    Locale.ZH_CN: "这是一条测试提醒，由 alongside alerts test 发出，无需处理。",
    Locale.EN: "This is a trial, sent by 'alongside alerts test'. There is nothing to do.",
}
_REST = {Locale.ZH_CN: "另有 {count} 项：alongside alerts list", Locale.EN: "And {count} more: alongside alerts list"}


def line_of(alert: Alert, locale: Locale) -> str:
    return "- " + WORDS[locale][alert.event].format(subject=alert.subject, count=f"{alert.level:,}")


def head_of(hospital: str, locale: Locale) -> str:
    return _HEADS[locale].format(hospital=hospital)


def rest_of(count: int, locale: Locale) -> str:
    return _REST[locale].format(count=count)


def trial_of(locale: Locale) -> str:
    return _TRIALS[locale]
