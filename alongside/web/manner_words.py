"""What the page "How we write to you" says, in both languages. Plain words: it is read by people of every age."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from alongside.model.enums import Channel, Locale, Pace


@dataclass(frozen=True)
class MannerWords:
    """Texts of one language; `{messages}`, `{days}`, `{start}`, `{end}` and `{topics}` are filled in."""

    title: str
    lead: str
    link: str
    topics: str
    topics_hint: str
    pace: str
    pace_hint: str
    paces: Mapping[Pace, str]
    budget: str
    quiet: str
    quiet_hint: str
    quiet_from: str
    quiet_to: str
    language: str
    way: str
    way_hint: str
    ways: Mapping[str, str]
    texts: str
    texts_hint: str
    texts_stopped: str
    chosen: str
    fitting: str
    fitting_hint: str
    general: str
    general_hint: str
    save: str
    saved: str
    unchanged: str
    now: str
    all_topics: str
    not_about: str
    quiet_now: str
    no_texts: str
    late: str
    back: str
    purposes: str


MANNER_WORDS: dict[Locale, MannerWords] = {
    Locale.EN: MannerWords(
        title="How we write to you",
        lead="Choose what suits you. It counts from the moment you save it, and your treatment does not depend on it.",
        link="Topics, times, language and more",
        topics="Topics you want to read about",
        topics_hint="Reminders about your own care come in any case.",
        pace="How often we may write",
        pace_hint="Messages about your own care come when you need them and are not counted.",
        paces={Pace.NORMAL: "As usual", Pace.WEEKLY: "Once a week at most", Pace.MONTHLY: "Once a month at most"},
        budget="At most {messages} messages in {days} days",
        quiet="When we do not write",
        quiet_hint="A message waits until these hours are over. Only an urgent one about your care comes at any time.",
        quiet_from="From (evening)",
        quiet_to="Until (morning)",
        language="Language of our messages",
        way="How you would rather hear from us",
        way_hint="Where this is not possible, we use another way.",
        ways={
            "-": "I do not mind",
            Channel.EMAIL: "E-mail",
            Channel.SMS: "Text message",
            Channel.CALL: "A phone call",
            Channel.LETTER: "A letter",
            Channel.WECHAT: "WeChat",
            Channel.PUSH: "A notice in our app",
        },
        texts="Text messages about",
        texts_hint="Only what you once agreed to for your phone is listed here.",
        texts_stopped="Text messages to your number are stopped. If you would like them again, please call us:",
        chosen="How we choose messages for you",
        fitting="Messages that fit me",
        fitting_hint="Chosen by what the hospital knows, such as your visits, diagnoses and what you read with us.",
        general="General information only",
        general_hint="Not chosen by your health or by what you read. You may miss advice that would concern you. "
        "Reminders about your own care come in any case.",
        save="Save my choices",
        saved="Your choices are saved",
        unchanged="Nothing has changed",
        now="This is how we write to you now",
        all_topics="About all topics",
        not_about="Not about: {topics}",
        quiet_now="Not between {start} and {end}",
        no_texts="No text messages",
        late="A message that is already on its way may still be as it was before.",
        back="Change something",
        purposes="Which e-mails may come",
    ),
    Locale.ZH_CN: MannerWords(
        title="怎样给您发消息",
        lead="请按您的习惯选择。保存后立即生效，不影响您看病。",
        link="内容主题、时间、语言等设置",
        topics="您想看哪些内容",
        topics_hint="与您本人诊疗有关的提醒照常发送。",
        pace="多久发一次",
        pace_hint="与您本人诊疗有关的消息，需要时就会发送，不计算在内。",
        paces={Pace.NORMAL: "照常", Pace.WEEKLY: "每周最多一次", Pace.MONTHLY: "每月最多一次"},
        budget="{days} 天内最多 {messages} 条",
        quiet="哪段时间不打扰您",
        quiet_hint="这段时间里的消息会等到时间过后再发。只有与您诊疗有关的紧急消息随时发送。",
        quiet_from="从（晚上）",
        quiet_to="到（早上）",
        language="消息使用的语言",
        way="您更愿意怎样收到消息",
        way_hint="这种方式不可用时，我们会用其他方式。",
        ways={
            "-": "都可以",
            Channel.EMAIL: "邮件",
            Channel.SMS: "短信",
            Channel.CALL: "电话",
            Channel.LETTER: "信件",
            Channel.WECHAT: "微信",
            Channel.PUSH: "应用通知",
        },
        texts="请给我发送以下短信",
        texts_hint="这里只列出您曾经同意用手机接收的内容。",
        texts_stopped="发往您手机的短信已停止。想重新接收，请致电：",
        chosen="怎样为您挑选内容",
        fitting="适合我的内容",
        fitting_hint="根据医院了解的情况挑选，例如您的就诊、诊断和您看过的文章。",
        general="只要通用信息",
        general_hint="不根据您的健康状况和阅读情况挑选，您可能会错过与您有关的建议。与您本人诊疗有关的提醒照常发送。",
        save="保存我的选择",
        saved="已保存您的选择",
        unchanged="没有任何更改",
        now="现在这样给您发消息",
        all_topics="所有主题",
        not_about="不发：{topics}",
        quiet_now="{start} 到 {end} 不打扰",
        no_texts="不发短信",
        late="已经发出的消息可能仍是原来的样子。",
        back="继续修改",
        purposes="选择接收哪些邮件",
    ),
}
