"""What every survey's page says beside the survey's own words, in both languages."""

from __future__ import annotations

from dataclasses import dataclass

from alongside.model.enums import Locale


@dataclass(frozen=True)
class SurveyWords:
    """Texts of one language; `{day}` is filled in."""

    optional: str
    missing: str
    urgent: str
    before: str
    send: str
    nothing_yet: str
    thanks_title: str
    thanks: str
    thanks_person: str
    change: str
    back: str
    over_title: str
    over: str


SURVEY_WORDS: dict[Locale, SurveyWords] = {
    Locale.EN: SurveyWords(
        optional="You may leave this out.",
        missing="Please choose a number in answer to the first question.",
        urgent="This is not read at once. If you feel unwell, call your doctor; in an emergency call 120.",
        before="You wrote something before. Leave this empty to keep it.",
        send="Send my answers",
        nothing_yet="Nothing is sent until you press the button.",
        thanks_title="Thank you",
        thanks="Your answers have reached us.",
        thanks_person="We are sorry that not everything was right. A member of our staff reads what you wrote and sees "
        "to it by {day}.",
        change="You can change your answers by the same link until {day}.",
        back="Change my answers",
        over_title="This survey is over",
        over="Thank you for wanting to answer. If you would like to tell us something, please call us:",
    ),
    Locale.ZH_CN: SurveyWords(
        optional="可以不答。",
        missing="请先回答第一个问题，选一个数字。",
        urgent="这里的留言不会马上有人看。身体不舒服请联系您的医生；紧急情况请拨打 120。",
        before="您之前写过留言。留空则保留原来的内容。",
        send="提交我的回答",
        nothing_yet="按下按钮之前，什么都不会提交。",
        thanks_title="谢谢您",
        thanks="您的回答已经收到。",
        thanks_person="很抱歉这次没能让您满意。我们的工作人员会看您写的内容，并在{day}前处理。",
        change="{day}之前，您可以用同一个链接修改回答。",
        back="修改我的回答",
        over_title="本次调查已结束",
        over="感谢您愿意回答。有话想对我们说，请致电：",
    ),
}
