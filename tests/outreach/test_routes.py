"""What keeps a campaign from leaving on a channel is told by `check` and by planning, never first by the vendor."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from alongside.checking import check_project
from alongside.content import load as load_content
from alongside.model.enums import Channel, Gate, Locale, Purpose
from alongside.model.errors import Refused
from alongside.outreach.campaigns import find_campaign, load_campaigns
from alongside.outreach.routes import Route, cargo_of, routes_of
from alongside.outreach.screening import Screen
from alongside.settings import HospitalSettings, Project, read_model
from tests.conftest import ROOT

Change = Callable[[dict[str, Any]], None]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A copy of the shipped configuration."""
    for name in ("config", "templates", "expectations"):
        shutil.copytree(ROOT / name, tmp_path / name)
    return Project.at(tmp_path)


def change(project: Project, edit: Change) -> HospitalSettings:
    path = project.config / "alongside.yaml"
    written = yaml.safe_load(path.read_text("utf-8"))
    edit(written)
    path.write_text(yaml.safe_dump(written, allow_unicode=True), "utf-8")
    return read_model(HospitalSettings, path)


def to_twilio(written: dict[str, Any]) -> None:
    written["channels"]["sms"] = {
        "provider": "twilio",
        "senders": {"care": {"address": "+15005550006", "name": {"zh_CN": "青禾", "en": "Qinghe"}}},
    }


def routes(project: Project, settings: HospitalSettings, name: str = "pre_op_checklist") -> tuple[Route, ...]:
    campaign = find_campaign(load_campaigns(project), name)
    return routes_of(campaign, [campaign.message], load_content(project), settings)


def told(project: Project) -> str:
    return "\n".join(map(str, check_project(project)))


def test_what_is_shipped_can_leave(project: Project) -> None:
    assert check_project(project) == []
    email, sms = routes(project, read_model(HospitalSettings, project.config / "alongside.yaml"), "flu_vaccine")
    assert (email.channel, email.stores_in, email.countries) == (Channel.EMAIL, "US", None)
    assert (sms.channel, sms.stores_in, sms.countries) == (Channel.SMS, "CN", ("CN",))


def test_a_channel_that_is_not_set_up_is_named_with_its_line(project: Project) -> None:
    settings = change(project, lambda written: written["channels"].pop("sms"))
    found = [item for item in check_project(project) if "not set up" in item.what]
    assert {Path(item.path).name for item in found} == {
        "flu_vaccine.yaml",
        "medication_refill.yaml",
        "pre_op_checklist.yaml",
    }
    assert all(item.line > 0 for item in found)
    with pytest.raises(Refused, match="channel 'sms' is not set up"):
        routes(project, settings)


def test_a_message_without_a_body_for_the_channel_is_named(project: Project) -> None:
    path = project.config / "campaigns" / "visit_survey.yaml"
    path.write_text(path.read_text("utf-8").replace("channels: [email]", "channels: [email, sms]"), "utf-8")
    assert "follow_up/visit_survey by sms: it has no such body" in told(project)


def test_a_sender_that_the_channel_lacks_is_named(project: Project) -> None:
    change(project, lambda written: written["channels"]["sms"].update(senders={"other": {"address": "x", "name": {}}}))
    assert "there is no sender 'care'" in told(project)


def test_a_provider_of_another_channel_is_refused(project: Project) -> None:
    change(project, lambda written: written["channels"]["sms"].update(provider="sendgrid"))
    assert "sendgrid is a provider of email" in told(project)


def test_what_the_vendor_cannot_carry_is_refused_when_planning(project: Project) -> None:
    settings = change(project, to_twilio)  # brings no answers back from China, and the text asks for one
    assert "brings none back from CN" in told(project)
    with pytest.raises(Refused, match="brings none back from CN"):
        routes(project, settings)


def test_a_hospital_elsewhere_may_use_it_but_not_for_patients_in_china(project: Project) -> None:
    def abroad(written: dict[str, Any]) -> None:
        to_twilio(written)
        written["hospital"]["country"] = "US"

    sms = next(one for one in routes(project, change(project, abroad)) if one.channel is Channel.SMS)
    assert (sms.countries, sms.barred) == (None, ("CN",))
    assert "brings none back" not in told(project)


def test_a_text_that_was_edited_here_and_not_registered_anew_is_told_with_the_nearest(project: Project) -> None:
    path = project.templates / "prevention" / "flu_vaccine" / "sms.zh_CN.txt.j2"
    path.write_text(path.read_text("utf-8").replace("可以预约了", "开始预约了"), "utf-8")
    [found] = [item for item in check_project(project) if "registered" in item.what]
    assert found.what.endswith("no text is registered for it; the nearest is SMS_100000001 (zh_CN)")


def test_planning_withholds_a_branch_that_is_not_registered(project: Project) -> None:
    settings = change(
        project,
        lambda written: written["channels"]["sms"].update(
            registered=[one for one in written["channels"]["sms"]["registered"] if one["code"] != "SMS_100000005"]
        ),
    )
    screen = Screen(load_content(project), settings)
    rows = [{"days_left": 3}, {"days_left": -1}]
    assert screen.gates("treatment/medication_refill", Channel.SMS, Locale.ZH_CN, rows) == [Gate.NOT_CARRIED] * 2
    assert screen.gates("treatment/medication_refill", Channel.SMS, Locale.EN, rows) == [Gate.NONE] * 2
    assert screen.gates("treatment/medication_refill", Channel.EMAIL, Locale.ZH_CN, rows) == [Gate.NONE] * 2
    assert any("SMS_1000000" in note for note in screen.findings)


def test_a_message_tells_what_a_provider_has_to_carry(project: Project) -> None:
    content = load_content(project)
    text = cargo_of("prevention/flu_vaccine", Channel.SMS, content)
    assert (text.links, text.replies) == (True, True)
    assert text.purpose in set(Purpose)
    assert 0 < text.length < 300
    assert cargo_of("prevention/flu_vaccine", Channel.EMAIL, content).length > 1000


def test_a_rule_on_what_nobody_read_needs_something_that_tells_of_readers(project: Project) -> None:
    campaign = project.config / "campaigns" / "pre_op_checklist.yaml"
    assert "unread_after_hours: 24" in campaign.read_text("utf-8")
    assert check_project(project) == []
    for body in (project.templates / "treatment" / "pre_op_checklist").glob("*.j2"):
        body.write_text(body.read_text("utf-8").replace("appointment_url", "preferences_url"), "utf-8")
    assert "pre_op_checklist.yaml:8: fallback.unread_after_hours: nothing tells who reads these messages" in told(
        project
    )


# ------------------------------------------------------------------------------------------------- registered templates
def _rename(written: dict[str, Any], title: str, fields: dict[str, str]) -> None:
    template = next(one for one in written["channels"]["wechat"]["registered"] if one["title"] == title)
    template["fields"] = [{"name": name, "label": label} for name, label in fields.items()]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (
            {"thing1": "医院", "time2": "时间", "thing3": "禁食和用药", "phone_number4": "咨询电话"},
            "registered is '时间'",
        ),
        ({"thing1": "医院", "time2": "到院时间", "phone_number4": "咨询电话"}, "line 4 begins with '禁食和用药'"),
        (
            {"phrase1": "医院", "time2": "到院时间", "thing3": "禁食和用药", "phone_number4": "咨询电话"},
            "phrase1 (医院) takes",
        ),
        (
            {"thing1": "医院", "date2": "到院时间", "thing3": "禁食和用药", "number4": "咨询电话"},
            "number4 (咨询电话) takes",
        ),
    ],
)
def test_a_template_that_is_registered_otherwise_is_told(project: Project, fields: dict[str, str], words: str) -> None:
    change(project, lambda written: _rename(written, "到院提醒", fields))
    [found] = [item for item in check_project(project) if "by wechat" in item.what]
    assert words in found.what
    assert found.what.endswith("(zh_CN)")
    assert Path(found.path).name == "pre_op_checklist.yaml"


def test_a_value_that_is_too_long_for_one_patient_fails_for_that_patient(project: Project) -> None:
    body = project.templates / "treatment" / "pre_op_checklist" / "wechat.zh_CN.txt.j2"
    body.write_text(
        body.read_text("utf-8").replace("以医生通知为准", "还有{{ days_to_go }}天，以医生通知为准"), "utf-8"
    )
    settings = read_model(HospitalSettings, project.config / "alongside.yaml")
    screen = Screen(load_content(project), settings)
    rows = [{"procedure_at": "2026-03-10T00:00:00", "days_to_go": days} for days in (8, 123456789012)]
    gates = screen.gates("treatment/pre_op_checklist", Channel.WECHAT, Locale.ZH_CN, rows)
    assert gates == [Gate.NONE, Gate.RENDER_FAILED]
    [note] = screen.findings
    assert note.endswith("thing3 (禁食和用药) takes at most 20 characters")


def test_marketing_does_not_travel_by_template_message(project: Project) -> None:
    path = project.config / "campaigns" / "heart_health_talk.yaml"
    path.write_text(path.read_text("utf-8").replace("channels: [email]", "channels: [email, wechat]"), "utf-8")
    message = project.templates / "prevention" / "heart_health_talk"
    written = message / "message.yaml"
    written.write_text(written.read_text("utf-8") + "channels: [email, wechat]\n", "utf-8")
    for locale in Locale:
        (message / f"wechat.{locale}.txt.j2").write_text("到院提醒\n医院：{{ hospital.name }}\n", "utf-8")

    def marketing(found: dict[str, Any]) -> None:
        found["channels"]["wechat"]["senders"] = {"marketing": {"address": "official account", "name": {}}}

    change(project, marketing)
    assert "prevention/heart_health_talk by wechat: it carries no marketing" in told(project)


# ----------------------------------------------------------------------------------------------------- notifications
def test_a_notification_that_is_too_large_for_one_patient_fails_for_that_patient(project: Project) -> None:
    settings = change(project, lambda written: written["channels"].update(push={"stores_data_in": "CN"}))
    assert check_project(project) == []
    body = project.templates / "treatment" / "medication_refill" / "push.en.txt.j2"
    body.write_text(body.read_text("utf-8") + " {{ days_left }}", "utf-8")
    screen = Screen(load_content(project), settings)
    rows = [{"days_left": days} for days in (6, 10**4100)]
    gates = screen.gates("treatment/medication_refill", Channel.PUSH, Locale.EN, rows)
    assert gates == [Gate.NONE, Gate.RENDER_FAILED]
    assert any("bytes, and the vendor takes 4096" in note for note in screen.findings)


def test_a_notification_carries_no_link(project: Project) -> None:
    change(project, lambda written: written["channels"].update(push={"stores_data_in": "CN"}))
    path = project.config / "campaigns" / "medication_refill.yaml"
    path.write_text(re.sub(r"channels: \[.*\]", "channels: [push]", path.read_text("utf-8")), "utf-8")
    assert "medication_refill" not in told(project)
    body = project.templates / "treatment" / "medication_refill" / "push.en.txt.j2"
    body.write_text(body.read_text("utf-8").rstrip() + " {{ hospital.website }}", "utf-8")
    assert "treatment/medication_refill by push: it carries no links" in told(project)


def test_a_diagnosis_does_not_reach_a_lock_screen(project: Project) -> None:
    for channel in ("push", "wechat"):
        body = project.templates / "treatment" / "medication_refill" / f"{channel}.en.txt.j2"
        body.write_text(body.read_text("utf-8") + "{{ illness }}", "utf-8")
    message = project.templates / "treatment" / "medication_refill" / "message.yaml"
    variable = "  illness: {value: \"latest('systolic_bp')\", example: 150, description: A reading}\n"
    written = message.read_text("utf-8")
    message.write_text(written.replace("variables:\n", "variables:\n" + variable), "utf-8")
    found = told(project)
    for channel in ("push", "wechat"):
        assert f"(clinical) and reaches the body of {channel}, which may carry personal at most" in found
