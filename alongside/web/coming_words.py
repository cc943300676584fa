"""What the page of an appointment says, in both languages. Plain words: it is read by people of every age."""

from __future__ import annotations

from dataclasses import dataclass

from alongside.model.enums import Locale


@dataclass(frozen=True)
class ComingWords:
    """Texts of one language; `{day}`, `{time}`, `{department}`, `{source}` and `{id}` are filled in."""

    title: str
    when: str
    where: str
    ask: str
    yes: str
    no: str
    no_hint: str
    nothing_yet: str
    confirmed_title: str
    confirmed: str
    confirmed_before: str
    cancelled_title: str
    cancelled: str
    cancelled_before: str
    anew: str
    moved: str
    gone: str
    taken_back: str
    passed: str
    task: str


COMING_WORDS: dict[Locale, ComingWords] = {
    Locale.EN: ComingWords(
        title="Your appointment",
        when="{day}, {time}",
        where="At {department}",
        ask="Are you coming?",
        yes="Yes, I am coming",
        no="No, I cannot come",
        no_hint="If you cannot come, we can give the time to somebody else, and arrange another one with you.",
        nothing_yet="Nothing is sent until you press a button.",
        confirmed_title="Thank you, we expect you",
        confirmed="You have told us that you are coming on {day} at {time}.",
        confirmed_before="You have told us that you are coming.",
        cancelled_title="Noted: you cannot come",
        cancelled="You have told us that you cannot come on {day} at {time}.",
        cancelled_before="You have told us that you cannot come.",
        anew="To arrange another time, or if you want to come after all, please call us:",
        moved="This appointment was moved. It is now on {day} at {time}. If this does not suit you, please call us:",
        gone="We do not find this appointment any more. It may have been moved or cancelled. Please call us:",
        taken_back="This appointment was cancelled. If you know nothing of that, please call us:",
        passed="This appointment has passed. If you would like another one, please call us:",
        task="The patient cannot come on {day} at {time} ({source}, {id}): answered on the page behind a message. "
        "Cancel the booking in its own system, and arrange another time. Close this when it is done.",
    ),
    Locale.ZH_CN: ComingWords(
        title="您的预约",
        when="{day}{time}",
        where="{department}",
        ask="您能来吗？",
        yes="能来",
        no="来不了",
        no_hint="如果来不了，我们会把时间留给其他患者，并与您另约时间。",
        nothing_yet="按下按钮之前，什么都不会提交。",
        confirmed_title="谢谢，我们等您来",
        confirmed="您已告诉我们：{day}{time}能来。",
        confirmed_before="您已告诉我们能来。",
        cancelled_title="已记下，您来不了",
        cancelled="您已告诉我们：{day}{time}来不了。",
        cancelled_before="您已告诉我们来不了。",
        anew="想另约时间，或者又能来了，请致电：",
        moved="这个预约已改期，现在是{day}{time}。如不方便，请致电：",
        gone="没有找到这个预约，可能已改期或取消。请致电：",
        taken_back="这个预约已取消。如果您不知道此事，请致电：",
        passed="这个预约的时间已过。想再次预约，请致电：",
        task="患者在消息链接中答复：{day}{time}的预约来不了（{source}，{id}）。"
        "请在预约系统中取消，并与患者另约时间。办完后请关闭本条。",
    ),
}
