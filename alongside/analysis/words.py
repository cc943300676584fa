"""Every word of figures and report, in both languages: one place to correct and one place to add a language."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from alongside.model.enums import Locale

#: key -> (Chinese, English); `{...}` is filled in
_TABLE: Mapping[str, tuple[str, str]] = {
    # the page
    "run_of": ("运行日", "Run of"),
    "configuration": ("配置", "configuration"),
    "other_language": ("English", "中文"),
    "ab_test": ("A/B 测试", "A/B test"),
    "expected": ("假设", "Expected"),
    "funnel": ("发送漏斗", "Funnel"),
    "funnel_note": (
        "在每个活动中每人只计一次：计在最先拦下的那一关。",
        "Each campaign counts a person once, at the first gate that held them back.",
    ),
    "campaigns": ("各活动", "Campaigns"),
    "campaign": ("活动", "campaign"),
    "state": ("状态", "state"),
    "data_quality": ("数据质量", "Data quality"),
    "source": ("来源", "source"),
    "rows": ("行数", "rows"),
    "trend": ("趋势", "trend"),
    "quarantined": ("隔离记录", "Quarantined records"),
    "failed_fields": ("停用字段", "fields that stopped"),
    "segments": ("人群分组", "Segments"),
    "segment": ("分组", "segment"),
    "members": ("成员", "members"),
    "entered": ("进入", "entered"),
    "left": ("离开", "left"),
    "completeness": ("完整性", "completeness"),
    "validity": ("有效性", "validity"),
    "consistency": ("一致性", "consistency"),
    "uniqueness": ("唯一性", "uniqueness"),
    "timeliness": ("及时性", "timeliness"),
    # stages of a message
    "audience": ("人群", "audience"),
    "eligible": ("适用", "eligible"),
    "rendered": ("已生成内容", "rendered"),
    "planned": ("计划发送", "planned"),
    "accepted": ("服务商已接收", "accepted"),
    "delivered": ("已送达", "delivered"),
    "bounced": ("退信", "bounced"),
    "followed_up": ("改用其他渠道", "tried on another channel"),
    "rejected": ("被拒绝", "rejected"),
    "withheld": ("发送前拦下", "withheld"),
    "unknown": ("未知", "unknown"),
    "messages_by_run": ("每次运行的消息数", "Messages by run"),
    # states of a campaign
    "state:planned": ("已计划", "planned"),
    "state:dispatched": ("已发送", "dispatched"),
    "state:blocked": ("因数据质量停用", "blocked"),
    "state:held": ("待批准", "held"),
    "state:paused": ("已暂停", "paused"),
    "state:closed": ("不在窗口期", "closed"),
    # gates
    "gate:deceased": ("拦：已故", "held back: deceased"),
    "gate:under_age": ("拦：未成年", "held back: under age"),
    "gate:admitted": ("拦：住院中", "held back: in hospital"),
    "gate:fulfilled": ("拦：已完成", "held back: done already"),
    "gate:no_relative": ("拦：没有可告知的家人", "held back: nobody who may be told"),
    "gate:no_address": ("拦：无邮箱", "held back: no address"),
    "gate:invalid_address": ("拦：联系方式无效", "held back: invalid address"),
    "gate:not_carried": ("拦：渠道不能送达", "held back: the provider may not carry it"),
    "gate:no_consent": ("拦：未同意", "held back: no consent"),
    "gate:cross_border": ("拦：未同意出境", "held back: no consent to storage abroad"),
    "gate:topic_off": ("拦：不想收此主题", "held back: topic not wanted"),
    "gate:suppressed": ("拦：禁发名单", "held back: suppression list"),
    "gate:already_sent": ("拦：已发过", "held back: sent before"),
    "gate:frequency_cap": ("拦：频次上限", "held back: frequency cap"),
    "gate:too_late": ("拦：会晚到", "held back: would arrive too late"),
    "gate:own_pace": ("拦：患者要求少发", "held back: wants fewer messages"),
    "gate:general_only": ("拦：只要通用信息", "held back: wants general information only"),
    "gate:duplicate_address": ("拦：同一邮箱", "held back: same address"),
    "gate:holdout": ("拦：对照保留组", "held back: hold-out"),
    "gate:campaign_holdout": ("拦：本活动的对照保留组", "held back: this campaign's hold-out"),
    "gate:render_failed": ("拦：渲染失败", "held back: cannot be rendered"),
    "gate:claims_lint": ("拦：用语不合规", "held back: forbidden claim"),
    "gate:quiet_hours": ("拦：免打扰时段", "held back: quiet hours"),
    "gate:paused": ("拦：已暂停", "held back: paused"),
    # experiments
    "difference_from": ("与对照“{control}”的差异（{level} 区间）", "Difference from “{control}” ({level} interval)"),
    "variant": ("方案", "variant"),
    "metric": ("指标", "metric"),
    "role": ("作用", "role"),
    "variant_value": ("方案值", "variant"),
    "control_value": ("对照值", "control"),
    "difference": ("差异", "difference"),
    "interval": ("区间", "interval"),
    "relative": ("相对", "relative"),
    "status": ("结论", "status"),
    "people": ("各组人数", "People"),
    "goal": ("目标", "goal"),
    "guardrail": ("护栏", "guardrail"),
    "limit": ("允许的界限", "accepted limit"),
    "to_worse": ("变差", "worse"),
    "to_better": ("变好", "better"),
    "nothing_to_compare": ("尚无可比较的数据", "Nothing to compare yet"),
    "better": ("显著更好", "better"),
    "worse": ("显著更差", "worse"),
    "open": ("未证实", "not proven"),
    "unharmed": ("未受损", "unharmed"),
    "harmed": ("受损", "harmed"),
    "unclear": ("不确定", "unclear"),
    "exploratory": ("仅供探索：{text}", "Exploratory: {text}"),
    "sample_ratio": ("各组人数检验 p = {p}", "Sample-ratio check p = {p}"),
    "path_of": ("“{metric}”的证据：{variant}", "Evidence on “{metric}”: {variant}"),
    "zone_better": ("越过此线即证实更好", "above this line: proved better"),
    "zone_worse": ("越过此线即证实更差", "below this line: proved worse"),
    "standard_errors": ("差异 ÷ 标准误；虚线为尚未到来的检视", "difference in standard errors; dashed: looks to come"),
    "looks": (
        "第 {taken} 次检视，共 {planned} 次；最迟 {due} 得出结论{next}",
        "Look {taken} of {planned}; the verdict comes on {due} at the latest{next}",
    ),
    "next_look": ("，下次检视 {day}", ", the next look is on {day}"),
    "harm_watch": ("伤害监测", "Watch for harm"),
    "harm_watch_note": (
        "每天检视；证据达到 {threshold} : 1 即停用该方案，无论检视多少次，误停的机会不超过 {alpha}。",
        "Looked at every day; a variant is stopped when the evidence reaches {threshold} : 1, and however often one"
        " looks, the chance of stopping without harm is at most {alpha}.",
    ),
    "harm_evidence": ("证据", "evidence"),
    "harm_stop": ("停用", "stop"),
    "harm_none": ("无警示", "no alarm"),
    "by_subgroup": ("“{metric}”：按{column}", "“{metric}” by {column}"),
    "subgroup": ("人群", "people who are"),
    "same_effect": (
        "没有迹象表明各人群的效果不同（p = {p}）。",
        "Nothing says that the effect differs between them (p = {p}).",
    ),
    "other_effect": (
        "各人群的效果似有不同（p = {p}）：这是线索，不是结论，请用新的实验证实。",
        "The effect seems to differ between them (p = {p}): a lead, not a verdict; prove it with a fresh experiment.",
    ),
    "unknown_effect": ("各人群的效果尚无法比较。", "The effects cannot be compared yet."),
    "since_message": ("“{metric}”：消息发出后的天数", "“{metric}” by days since the message"),
    "column:period": ("入组时间", "time of enrolment"),
    "column:gender": ("性别", "gender"),
    "column:age_band": ("年龄段", "age"),
    "column:language": ("语言", "language"),
    "column:country": ("国家", "country"),
    "column:city": ("城市", "city"),
    "column:district": ("区县", "district"),
    "value:": ("未知", "unknown"),
    "value:*": ("其他", "others"),
    "value:male": ("男", "male"),
    "value:female": ("女", "female"),
    "value:other": ("其他性别", "of another gender"),
    "value:unknown": ("未知", "unknown"),
    "value:zh_CN": ("中文", "reading Chinese"),
    "value:en": ("英文", "reading English"),
    "meaning": (
        "通俗地说：“{variant}”在“{metric}”上更好的可能性为 {chance}；若全部采用而其实更差，预期损失 {loss}。",
        "In plain words: the chance that “{variant}” is better on “{metric}” is {chance}; if everybody gets it and it"
        " is worse after all, the expected loss is {loss}.",
    ),
    "corrected": (
        "扣除“赢家运气”后，“{variant}”对“{metric}”的效果约为 {amount}。",
        "Without the luck that winners have, the effect of “{variant}” on “{metric}” is about {amount}.",
    ),
    "by_arm": ("各组发送情况（条数）", "Messages by variant"),
    "clicked": ("已点击", "clicked"),
    "unsubscribed": ("已退订", "unsubscribed"),
    "complained": ("已投诉", "complained"),
    "maturity": (
        "结果已知 {mature} 人，窗口未满 {open} 人，入组结束后 {late} 人（不计入）；结论日 {due}",
        "Outcomes known of {mature} people, windows open of {open}, {late} came after enrolment and do not count;"
        " verdict due {due}",
    ),
}
_COLUMN = {Locale.ZH_CN: 0, Locale.EN: 1}


@cache
def words(locale: Locale) -> Mapping[str, str]:
    """All words of one language by key."""
    return MappingProxyType({key: texts[_COLUMN[locale]] for key, texts in _TABLE.items()})
