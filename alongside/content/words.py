"""Names of departments as patients know them."""

from __future__ import annotations

from alongside.model.enums import Locale

#: code -> (zh_CN, English, to follow "in" or "at")
_DEPARTMENTS: dict[str, tuple[str, str]] = {
    "cardiology": ("心血管内科", "the cardiology clinic"),
    "endocrinology": ("内分泌科", "the endocrinology clinic"),
    "orthopaedics": ("骨科", "the orthopaedic clinic"),
    "obstetrics": ("产科", "the maternity clinic"),
    "oncology": ("肿瘤科", "the oncology clinic"),
    "gastroenterology": ("消化内科", "the gastroenterology clinic"),
    "respiratory": ("呼吸内科", "the respiratory clinic"),
    "ophthalmology": ("眼科", "the eye clinic"),
    "general_practice": ("全科门诊", "the general practice clinic"),
    "emergency": ("急诊科", "the emergency department"),
    "nephrology": ("肾内科", "the kidney clinic"),
    "rehabilitation": ("康复科", "the rehabilitation clinic"),
}


def department(code: object, locale: Locale) -> str:
    """The department's name in a sentence ("you were seen at ..."); for an unknown or missing code, the hospital's
    out-patient clinic as such."""
    chinese, english = _DEPARTMENTS.get(str(code), ("门诊", "our clinic"))
    return chinese if locale is Locale.ZH_CN else english
