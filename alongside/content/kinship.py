"""How a letter to a relative names the patient: "your father", 您的父亲. What is not known is said without a guess."""

from __future__ import annotations

from alongside.model.enums import Locale, Relationship

#: Relative -> the patient as a man, as a woman, and where the gender is not known.
_WORDS: dict[Locale, dict[Relationship, tuple[str, str, str]]] = {
    Locale.ZH_CN: {
        Relationship.MOTHER: ("您的儿子", "您的女儿", "您的孩子"),
        Relationship.FATHER: ("您的儿子", "您的女儿", "您的孩子"),
        Relationship.GUARDIAN: ("您监护的家人", "您监护的家人", "您监护的家人"),
        Relationship.SPOUSE: ("您的爱人", "您的爱人", "您的爱人"),
        Relationship.CHILD: ("您的父亲", "您的母亲", "您的父母"),
        Relationship.SIBLING: ("您的兄弟", "您的姐妹", "您的家人"),
        Relationship.GRANDPARENT: ("您家的孩子", "您家的孩子", "您家的孩子"),
        Relationship.OTHER: ("您的家人", "您的家人", "您的家人"),
    },
    Locale.EN: {
        Relationship.MOTHER: ("your son", "your daughter", "your child"),
        Relationship.FATHER: ("your son", "your daughter", "your child"),
        Relationship.GUARDIAN: ("the person in your care", "the person in your care", "the person in your care"),
        Relationship.SPOUSE: ("your husband", "your wife", "your partner"),
        Relationship.CHILD: ("your father", "your mother", "your parent"),
        Relationship.SIBLING: ("your brother", "your sister", "your family member"),
        Relationship.GRANDPARENT: ("your grandson", "your granddaughter", "your grandchild"),
        Relationship.OTHER: ("your family member", "your family member", "your family member"),
    },
}


def patient_relation(relationship: str | None, gender: str | None, locale: Locale) -> str:
    """The patient in the words of the relative who reads.

    Parameters
    ----------
    relationship : what the reader is to the patient (`Relationship`)
    gender : the patient's, FHIR administrative gender
    """
    known = Relationship(relationship) if relationship else Relationship.OTHER
    place = {"male": 0, "female": 1}.get(gender or "", 2)
    return _WORDS[locale][known][place]
