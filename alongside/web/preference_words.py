"""What the preference page says, in both languages. Plain words: it is read by people of every age, on a phone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from alongside.ledger.consent import CROSS_BORDER
from alongside.model.enums import Channel, Locale, Purpose


@dataclass(frozen=True)
class OtherWords:
    """About another channel than e-mail, which can be stopped as a whole; `title` stands on the button, too."""

    title: str
    lead: str
    saved: str
    late: str


@dataclass(frozen=True)
class PreferenceWords:
    """Texts of one language; `names` and `hints` by purpose and for `cross_border`, `others` by channel."""

    language: str
    title: str
    lead: str
    choose: str
    choose_way: str
    names: Mapping[str, str]
    hints: Mapping[str, str]
    save: str
    nothing_yet: str
    not_here: str
    stopped: str
    stopped_abroad: str
    stopped_note: str
    fixed_title: str
    fixed_reason: str
    leave_title: str
    leave_lead: str
    leave: str
    left_already: str
    others: Mapping[str, OtherWords]
    saved_title: str
    saved_nothing: str
    saved_left: str
    withdrawn: str
    granted: str
    refused: str
    abroad_effect: str
    late: str
    now_on: str
    now_none: str
    back: str
    too_often_title: str
    too_often: str
    expired_title: str
    expired: str


PREFERENCE_WORDS: dict[Locale, PreferenceWords] = {
    Locale.EN: PreferenceWords(
        language="English",
        title="Which e-mails may we send you?",
        lead="Tick what you want to receive. You can change your mind at any time, and your treatment does not depend "
        "on it.",
        choose="Send me e-mails about",
        choose_way="How they are sent",
        names={
            Purpose.CARE: "My own care",
            Purpose.EDUCATION: "Staying healthy",
            Purpose.SURVEY: "My experience with you",
            Purpose.MARKETING: "Services and events of the hospital",
            Purpose.RESEARCH: "Taking part in research",
            CROSS_BORDER: "Sending by a service abroad",
        },
        hints={
            Purpose.CARE: "Appointments, preparation and follow-up. Without them we may have to call or write to you "
            "instead.",
            Purpose.EDUCATION: "Advice that fits you, such as vaccination or living with a condition.",
            Purpose.SURVEY: "Short questions after a visit.",
            Purpose.MARKETING: "Promotional e-mails.",
            Purpose.RESEARCH: "Invitations to studies. Nobody takes part by ticking this box.",
            CROSS_BORDER: "Our e-mails leave through a company that stores addresses and messages in another country. "
            "If you no longer agree, we cannot send you any e-mail.",
        },
        save="Save my choices",
        nothing_yet="Nothing changes until you press a button.",
        not_here="What this page cannot switch on",
        stopped="E-mails to this address are stopped. If you would like them again, please call us:",
        stopped_abroad="Our e-mail service keeps e-mails in another country. You have not agreed to that, so e-mails "
        "may not reach you. If you would like to agree, please call us:",
        stopped_note="At present none are sent to this address. Please call us if you would like them again.",
        fixed_title="What cannot be switched off here",
        fixed_reason="We have to be able to reach you when your health is at stake. That is why there is no switch for "
        "calls and letters about your treatment.",
        leave_title="Stop all e-mails",
        leave_lead="You will get no more e-mails of any kind, not even appointment reminders.",
        leave="Stop all e-mails",
        left_already="All e-mails are switched off.",
        others={
            Channel.SMS: OtherWords(
                title="Stop all text messages",
                lead="You will get no more text messages from us, not even appointment reminders. Nothing changes for "
                "e-mails.",
                saved="You will get no more text messages from us.",
                late="A text message that is already on its way may still reach you.",
            ),
            Channel.WECHAT: OtherWords(
                title="Stop all WeChat messages",
                lead="You will get no more messages from us in WeChat, not even appointment reminders. There is no "
                "need to unfollow us. Nothing changes for e-mails.",
                saved="You will get no more messages from us in WeChat.",
                late="A message that is already on its way may still reach you.",
            ),
            Channel.PUSH: OtherWords(
                title="Stop all notifications of our app",
                lead="Our app will show you no more notifications, not even appointment reminders. Nothing changes for "
                "e-mails.",
                saved="Our app will show you no more notifications.",
                late="A notification that is already on its way may still reach you.",
            ),
        },
        saved_title="Your choices are saved",
        saved_nothing="Nothing has changed.",
        saved_left="You will get no more e-mails from us.",
        withdrawn="You will get no more e-mails about:",
        granted="You may get e-mails about:",
        refused="This could not be switched on. Please call us:",
        abroad_effect="You no longer agree to a service abroad. We will not send you e-mails through it.",
        late="An e-mail that is already on its way may still reach you.",
        now_on="Switched on for e-mails",
        now_none="Nothing is switched on for e-mails.",
        back="Back to my choices",
        too_often_title="Please wait a minute",
        too_often="There were many changes in a short time, and this one was not saved. Try again in a minute.",
        expired_title="This link has expired",
        expired="Please use the link in a newer e-mail. The “Unsubscribe” link of the old e-mail still works. Or call "
        "us:",
    ),
    Locale.ZH_CN: PreferenceWords(
        language="中文",
        title="您愿意接收哪些邮件？",
        lead="请勾选您想接收的内容。您随时可以更改，您的选择不影响您看病。",
        choose="请给我发送以下邮件",
        choose_way="发送方式",
        names={
            Purpose.CARE: "我的诊疗",
            Purpose.EDUCATION: "健康知识",
            Purpose.SURVEY: "就医感受",
            Purpose.MARKETING: "本院服务和活动",
            Purpose.RESEARCH: "参加医学研究",
            CROSS_BORDER: "通过境外服务发送",
        },
        hints={
            Purpose.CARE: "预约、就诊准备和复诊提醒。关闭后，我们可能需要改为打电话或寄信。",
            Purpose.EDUCATION: "适合您的健康建议，例如接种疫苗、慢病管理。",
            Purpose.SURVEY: "就诊后的简短问卷。",
            Purpose.MARKETING: "推广邮件。",
            Purpose.RESEARCH: "研究项目的邀请。勾选并不表示您已参加研究。",
            CROSS_BORDER: "我们的邮件由一家在境外存储地址和邮件内容的公司发出。如您不再同意，我们将无法给您发送邮件。",
        },
        save="保存我的选择",
        nothing_yet="按下按钮之前，一切不变。",
        not_here="本页无法开启的内容",
        stopped="发往这个地址的此类邮件已停止。想重新接收，请致电：",
        stopped_abroad="我们的邮件服务把邮件存储在境外，您尚未同意这样做，因此邮件可能无法送达。如愿意同意，请致电：",
        stopped_note="目前不会向这个地址发送此类邮件。想重新接收，请致电我们。",
        fixed_title="本页无法关闭的内容",
        fixed_reason="事关您的健康时，我们必须能够联系到您，因此与治疗有关的电话和信件没有开关。",
        leave_title="停止所有邮件",
        leave_lead="您将不再收到任何邮件，包括预约提醒。",
        leave="停止所有邮件",
        left_already="所有邮件均已关闭。",
        others={
            Channel.SMS: OtherWords(
                title="停止所有短信",
                lead="您将不再收到本院的短信，包括预约提醒。邮件不受影响。",
                saved="您不会再收到本院的短信。",
                late="已经发出的短信可能还会送达。",
            ),
            Channel.WECHAT: OtherWords(
                title="停止所有微信通知",
                lead="您将不再收到本院的微信通知，包括预约提醒。不必取消关注，邮件也不受影响。",
                saved="您不会再收到本院的微信通知。",
                late="已经发出的微信通知可能还会送达。",
            ),
            Channel.PUSH: OtherWords(
                title="停止App的所有通知",
                lead="本院App将不再向您弹出任何通知，包括预约提醒。邮件不受影响。",
                saved="本院App不会再向您弹出通知。",
                late="已经发出的通知可能还会弹出。",
            ),
        },
        saved_title="已保存您的选择",
        saved_nothing="没有任何更改。",
        saved_left="您不会再收到本院的邮件。",
        withdrawn="您不会再收到以下邮件：",
        granted="您可能会收到以下邮件：",
        refused="以下内容未能开启，请致电：",
        abroad_effect="您不再同意通过境外服务发送。我们不会再通过该服务给您发邮件。",
        late="已经发出的邮件可能还会送达。",
        now_on="邮件方面已开启的内容",
        now_none="邮件方面目前没有开启任何内容。",
        back="返回我的选择",
        too_often_title="请稍等一分钟",
        too_often="短时间内更改过多，这次更改没有保存。请一分钟后再试。",
        expired_title="链接已过期",
        expired="请使用较新邮件中的链接。旧邮件中的“退订”链接仍然有效。您也可以致电：",
    ),
}
