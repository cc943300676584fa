"""What the page "What we hold of you" says, in both languages. Plain words: it is read by people of every age."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from alongside.model.enums import Channel, Locale, Relationship, ThreadKind


@dataclass(frozen=True)
class RequestWords:
    """About one kind of request; `{day}` is filled in. `task` is what a person reads in the inbox."""

    title: str
    lead: str
    button: str
    asked: str
    task: str


@dataclass(frozen=True)
class HeldWords:
    """Texts of one language; `{count}`, `{shown}` and `{day}` are filled in."""

    title: str
    lead: str
    link: str
    contact: str
    contact_hint: str
    email: str
    phone: str
    name: str
    unknown: str
    messages: str
    messages_lead: str
    messages_none: str
    channels: Mapping[str, str]
    agreements: str
    agreements_none: str
    yes: str
    no: str
    decided: str
    relatives: str
    relatives_none: str
    relatives_hint: str
    kinds_of_relatives: Mapping[Relationship, str]
    decides: str
    comparing: str
    comparing_lead: str
    comparing_count: str
    comparing_some: str
    without_marketing: str
    choices: str
    choices_link: str
    more: str
    more_lead: str
    download: str
    next_title: str
    next_steps: tuple[str, ...]
    requests: Mapping[ThreadKind, RequestWords]
    asked_title: str
    back: str


HELD_WORDS: dict[Locale, HeldWords] = {
    Locale.EN: HeldWords(
        title="What we hold about you",
        lead="This is what the hospital's message service keeps about you. Because a link can be passed on, your name "
        "and addresses are partly hidden, and your medical records are not shown here.",
        link="See what we hold, or ask for its deletion",
        contact="Your contact details",
        contact_hint="Partly hidden. If something is out of date, please call us.",
        email="E-mail",
        phone="Phone",
        name="Name",
        unknown="not known",
        messages="Messages that we sent you",
        messages_lead="{count} in all. The newest come first.",
        messages_none="None so far.",
        channels={
            Channel.EMAIL: "e-mail",
            Channel.SMS: "text message",
            Channel.CALL: "phone call",
            Channel.LETTER: "letter",
            Channel.WECHAT: "WeChat",
            Channel.PUSH: "app notice",
        },
        agreements="What you agreed to, and what not",
        agreements_none="Nothing is written down.",
        yes="yes",
        no="no",
        decided="last changed on {day}",
        relatives="Whom of your family we may tell",
        relatives_none="Nobody. We tell your family nothing unless you agree.",
        relatives_hint="If this is not as you want it, please call us.",
        kinds_of_relatives={
            Relationship.MOTHER: "mother",
            Relationship.FATHER: "father",
            Relationship.GUARDIAN: "guardian",
            Relationship.SPOUSE: "husband or wife",
            Relationship.CHILD: "son or daughter",
            Relationship.SIBLING: "brother or sister",
            Relationship.GRANDPARENT: "grandparent",
            Relationship.OTHER: "somebody close to you",
        },
        decides="decides for you",
        comparing="Comparing messages",
        comparing_lead="To learn which messages help people, we sometimes send two versions of one and compare what "
        "comes of them. Chance decides who gets which. Your treatment does not depend on it.",
        comparing_count="Comparisons that you are part of: {count}",
        comparing_some="For the same reason some messages go to most people, but not to all. Messages that your care "
        "needs are never left out in this way.",
        without_marketing="Chance has also put you among the few who get no messages about our services and events, so "
        "that we can see whether such messages are of any use.",
        choices="How we write to you",
        choices_link="See and change your choices",
        more="Everything else",
        more_lead="You have the right to see everything that we hold about you, and to ask us to delete it.",
        download="Download this page's data (for a computer)",
        next_title="What happens next",
        next_steps=(
            "A member of our staff contacts you. We first make sure that it is really you.",
            "Until then nothing changes: messages still come. You can stop them at any time on the other page.",
        ),
        requests={
            ThreadKind.ACCESS: RequestWords(
                title="See everything",
                lead="We put together all that we hold about you, medical records included, and give it to you.",
                button="Ask to see everything",
                asked="You have asked to see everything. You will hear from us by {day}.",
                task="The patient asks, on the page behind a message, for everything that the hospital holds about "
                "them. A link is no proof: before you give anything, call the number in the record, or have them come "
                "with identification. Close this when it is done.",
            ),
            ThreadKind.ERASURE: RequestWords(
                title="Delete my data",
                lead="We delete what we use to write to you. The law tells hospitals to keep medical records for many "
                "years; these cannot be deleted.",
                button="Ask to delete my data",
                asked="You have asked us to delete your data. You will hear from us by {day}.",
                task="The patient asks, on the page behind a message, for the deletion of their data. A link is no "
                "proof: call the number in the record, or have them come with identification. Medical records that the "
                "law tells us to keep stay. Close this when it is done.",
            ),
        },
        asked_title="Your request has reached us",
        back="Back to what we hold",
    ),
    Locale.ZH_CN: HeldWords(
        title="我们保存了您的哪些信息",
        lead="以下是本院消息服务保存的、与您有关的信息。链接可能被转发，所以姓名和联系方式只显示一部分，病历不在这里显示。",
        link="查看我们保存的信息，或申请删除",
        contact="您的联系方式",
        contact_hint="只显示一部分。如有变化，请致电我们。",
        email="邮箱",
        phone="电话",
        name="姓名",
        unknown="没有记录",
        messages="我们给您发过的消息",
        messages_lead="共 {count} 条，最近的在前。",
        messages_none="还没有发过。",
        channels={
            Channel.EMAIL: "邮件",
            Channel.SMS: "短信",
            Channel.CALL: "电话",
            Channel.LETTER: "信件",
            Channel.WECHAT: "微信",
            Channel.PUSH: "应用通知",
        },
        agreements="您同意和不同意的内容",
        agreements_none="没有记录。",
        yes="同意",
        no="不同意",
        decided="最近一次更改：{day}",
        relatives="可以告知的家属",
        relatives_none="没有。未经您同意，我们不会把您的情况告诉家属。",
        relatives_hint="如需更改，请致电我们。",
        kinds_of_relatives={
            Relationship.MOTHER: "母亲",
            Relationship.FATHER: "父亲",
            Relationship.GUARDIAN: "监护人",
            Relationship.SPOUSE: "配偶",
            Relationship.CHILD: "子女",
            Relationship.SIBLING: "兄弟姐妹",
            Relationship.GRANDPARENT: "祖辈",
            Relationship.OTHER: "其他家属",
        },
        decides="可代您决定",
        comparing="消息对比",
        comparing_lead="为了解怎样的消息更有帮助，我们有时会准备两种写法，随机发给不同的人，再比较效果。您的诊疗不受影响。",
        comparing_count="您参与的对比：{count} 项",
        comparing_some="出于同样的原因，个别消息不会发给所有人；您诊疗所需的消息不会因此漏发。",
        without_marketing="您还被随机分到不接收本院服务和活动消息的一小部分人当中，以便我们了解这类消息是否有用。",
        choices="怎样给您发消息",
        choices_link="查看和更改您的选择",
        more="其他信息",
        more_lead="您有权查看我们保存的全部信息，也可以申请删除。",
        download="下载本页数据（供电脑使用）",
        next_title="接下来会怎样",
        next_steps=(
            "我们的工作人员会联系您，先核实是您本人。",
            "在此之前一切照旧，消息仍会发送。您可以随时在另一个页面上停止接收。",
        ),
        requests={
            ThreadKind.ACCESS: RequestWords(
                title="查看全部信息",
                lead="我们会整理好保存的全部信息（包括病历）交给您。",
                button="申请查看全部信息",
                asked="您已申请查看全部信息。我们会在{day}前联系您。",
                task="患者通过消息中的链接申请查看医院保存的全部个人信息。提供之前请先核实本人身份：拨打档案中的电话，"
                "或请本人携带证件前来。链接不能证明身份。办完后请关闭本条。",
            ),
            ThreadKind.ERASURE: RequestWords(
                title="删除我的信息",
                lead="我们会删除用来给您发消息的信息。法律要求医院多年保存病历，病历不能删除。",
                button="申请删除我的信息",
                asked="您已申请删除信息。我们会在{day}前联系您。",
                task="患者通过消息中的链接申请删除个人信息。请先核实本人身份：拨打档案中的电话，或请本人携带证件前来。"
                "链接不能证明身份。法律要求保存的病历应当保留。办完后请关闭本条。",
            ),
        },
        asked_title="已收到您的申请",
        back="返回",
    ),
}
