"""How the demo hospital's records go wrong: every rate in one place (docs/demo-hospital.md explains each).

A rate is a share of the rows named in its comment. Tests hold the generated extracts against these numbers.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Dirt:
    """Shares of rows that carry each fault."""

    # people
    his_second_record: float = 0.025  # people registered twice in the HIS, their visits split between both numbers
    crm_second_contact: float = 0.02  # people with two CRM contacts
    name_typo: float = 0.02  # names in LIS, CRM and app with one character wrong
    birth_swapped: float = 0.006  # birth dates with day and month swapped (CRM, app and second HIS records)
    phone_changed: float = 0.05  # people whose CRM contact has another number than the HIS
    email_changed: float = 0.04  # people whose HIS record still has an older address than the CRM
    shared_email: float = 0.03  # people who give a relative's address (children: see people.py)
    lis_without_mrn: float = 0.015  # LIS patients whose HIS number was not typed in
    crm_without_mrn: float = 0.85  # CRM contacts that do not carry the HIS number
    app_without_mrn: float = 1 / 3  # app users who have not linked their HIS number
    sex_unknown: float = 0.004  # HIS records
    id_card_missing: float = 0.12  # HIS records
    language_missing: float = 0.25  # HIS records

    # values of people
    email_invalid: float = 0.015  # written addresses (HIS, CRM, app) that are none
    birth_missing: float = 0.004  # HIS and CRM birth dates
    birth_impossible: float = 0.002  # HIS birth dates: 210 years old, or in the future
    birth_other_format: float = 0.30  # HIS birth dates as YYYY/MM/DD (20 %) or YYYYMMDD (10 %)
    phone_invalid: float = 0.01  # written numbers that are too short
    address_missing: float = 0.06  # HIS records without a street
    address_unknown: float = 0.012  # streets that say nothing: 不详
    address_in_one: float = 0.10  # records with city and district in front of the street, and no city of their own
    postcode_missing: float = 0.45  # HIS records
    postcode_invalid: float = 0.008  # written postal codes with a digit too few
    phone_other_format: float = 0.40  # written numbers with +86, spaces, dashes, full-width digits, extension

    # values of events
    vital_impossible: float = 0.0015  # clinic vitals, for example systolic 700
    vital_missing: float = 0.003  # clinic vitals without a value
    lab_impossible: float = 0.001  # results, for example HbA1c 88 %
    lab_missing: float = 0.003  # results without a value
    lab_text: float = 0.001  # results with words in place of a number
    glucose_mg_dl: float = 0.04  # fasting glucose in mg/dL
    reading_impossible: float = 0.002  # home readings
    days_negative: float = 0.002  # prescriptions with a negative number of days
    time_future: float = 0.0008  # visits dated in the next century
    end_before_start: float = 0.001  # finished visits whose end stands before their start
    before_birth: float = 0.0004  # diagnoses dated before the patient's birth
    code_unknown: float = 0.003  # diagnoses with a code of a forgotten list
    id_repeated: float = 0.001  # rows of visits, results and vitals that stand twice in one extract


DIRT = Dirt()
#: A hospital whose clerks never err, for tests of the life behind the records.
CLEAN = Dirt(**dict.fromkeys(Dirt.__dataclass_fields__, 0.0))
