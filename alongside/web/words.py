"""What the unsubscribe page says, in both languages. Plain words: it is read by people of every age, on a phone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from alongside.model.enums import Locale, Purpose


@dataclass(frozen=True)
class Words:
    """Texts of one language; `{hospital}`, `{kind}` and `{phone}` are filled in."""

    title: str
    lead: str
    kinds: Mapping[Purpose, str]
    choose: str
    only_this: str
    only_this_hint: str
    everything: str
    everything_hint: str
    goes_on: str
    care_goes_on: str
    care_goes_on_after: str
    reach_otherwise: str
    treatment: str
    button: str
    nothing_yet: str
    done_title: str
    done_this: str
    done_everything: str
    done_late: str
    done_again: str
    lost_title: str
    lost: str
    busy_title: str
    busy: str
    down_title: str
    down: str
    help: str


WORDS: dict[Locale, Words] = {
    Locale.EN: Words(
        title="Stop these e-mails?",
        lead="{hospital} sent you an e-mail about {kind}.",
        kinds={
            Purpose.CARE: "your own care, such as a follow-up visit or an appointment",
            Purpose.EDUCATION: "staying healthy",
            Purpose.SURVEY: "your experience with us",
            Purpose.MARKETING: "our services and events",
            Purpose.RESEARCH: "taking part in research",
        },
        choose="What should stop?",
        only_this="E-mails like this one",
        only_this_hint="About {kind}. Promotional e-mails stop, too.",
        everything="All e-mails from the hospital",
        everything_hint="Reminders of your visits and your treatment, too.",
        goes_on="What goes on",
        care_goes_on="E-mails about your own care, such as appointment reminders, unless you choose “All e-mails”.",
        care_goes_on_after="E-mails about your own care, such as appointment reminders.",
        reach_otherwise="We may still call or write to you when your treatment needs it.",
        treatment="Your treatment and your appointments. They do not depend on these e-mails.",
        button="Stop these e-mails",
        nothing_yet="Nothing changes until you press the button.",
        done_title="Done",
        done_this="You will get no more e-mails about {kind}, and no promotional e-mails.",
        done_everything="You will get no more e-mails from us.",
        done_late="An e-mail that is already on its way may still reach you.",
        done_again="Would you like to hear from us again, or only by phone? Call us:",
        lost_title="This link does not work",
        lost="It may have been cut off. Please open the whole link from the e-mail, or call us:",
        busy_title="Please try again in a minute",
        busy="There are very many visitors just now. Nothing was changed. If it is urgent, call us:",
        down_title="Something has gone wrong on our side",
        down="It is not your fault, but your choice may not be saved. Please try again in a few minutes, or call us:",
        help="Questions? Call us:",
    ),
    Locale.ZH_CN: Words(
        title="不再接收这类邮件？",
        lead="{hospital}给您发过一封关于{kind}的邮件。",
        kinds={
            Purpose.CARE: "您本人诊疗（如复诊、预约提醒）",
            Purpose.EDUCATION: "健康知识",
            Purpose.SURVEY: "就医感受",
            Purpose.MARKETING: "本院服务和活动",
            Purpose.RESEARCH: "参加医学研究",
        },
        choose="您想停止接收哪些邮件？",
        only_this="只停止这类邮件",
        only_this_hint="关于{kind}的邮件。推广邮件也会一并停止。",
        everything="停止本院的所有邮件",
        everything_hint="包括复诊和治疗提醒。",
        goes_on="不受影响的内容",
        care_goes_on="关于您本人诊疗的邮件，例如预约提醒；选择“所有邮件”时才会停止。",
        care_goes_on_after="关于您本人诊疗的邮件，例如预约提醒。",
        reach_otherwise="诊疗需要时，我们仍可能给您打电话或寄信。",
        treatment="您的治疗和已有的预约。退订邮件不影响您看病。",
        button="确认退订",
        nothing_yet="按下按钮之前，一切不变。",
        done_title="已退订",
        done_this="您不会再收到关于{kind}的邮件，也不会再收到推广邮件。",
        done_everything="您不会再收到本院的邮件。",
        done_late="已经发出的邮件可能还会送达。",
        done_again="想重新接收，或改用电话联系？请致电：",
        lost_title="链接无法打开",
        lost="链接可能不完整。请从邮件中重新打开完整的链接，或致电：",
        busy_title="请一分钟后再试",
        busy="现在访问的人太多，没有做任何更改。如有急事，请致电：",
        down_title="系统暂时出了问题",
        down="这不是您的操作有误，但您刚才的选择可能没有保存。请过几分钟再试，或致电：",
        help="有疑问？请致电：",
    ),
}
