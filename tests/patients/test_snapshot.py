"""The 360 snapshot: the golden record, what is true as of a moment, and no value that names a patient."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from alongside.ledger import consent, people, surveys, wishes
from alongside.ledger.wishes import WishEvent
from alongside.model.canonical import TABLES
from alongside.model.enums import WishKind
from alongside.model.errors import StoreUnavailable
from alongside.patients import fictional_contacts, snapshot
from tests.conftest import ROOT
from tests.patients.world import NOW, Row, World, patient

AS_OF = datetime(2026, 3, 1, tzinfo=UTC)
NAIVE = AS_OF.replace(tzinfo=None)
WANG = {"full_name": "王小明", "birth_date": "1980-05-06", "gender": "male", "mrn": "P7"}


def _days(number: float) -> datetime:
    return NAIVE + timedelta(days=number)


def _of(patient_source_id: str = "a", **details: Any) -> Row:
    return {"patient_source_id": patient_source_id, **details}


def _one(world: World, *patients: Row, as_of: datetime = AS_OF, **tables: list[Row]) -> dict[str, Any]:
    """The single person's row."""
    world.resolve(*(patients or (patient("a", **WANG),)), now=as_of, **tables)
    (row,) = world.persons(as_of)
    return row


def test_the_golden_record_trusts_the_hospital_for_who_and_the_newest_for_how_to_reach(small_world: World) -> None:
    row = _one(
        small_world,
        patient("a", **WANG, email="old@example.com", city="白沙市", language="zh_CN"),
        patient(
            "b", "crm", full_name="Wang Xiaoming", mrn="P7", birth_date="1980-05-07", email="new@example.com",
            city="青禾市", language="en", extract_date="2026-03-01",
        ),
        patient("c", "app_events", mrn="P7", email="not an address", phone="19900001234", extract_date="2026-03-01"),
    )  # fmt: skip
    with small_world.ledger.begin() as connection:
        identity = small_world.vault.open_many(connection, [row["person_id"]])[row["person_id"]]
    assert (identity.name, identity.birth_date) == ("王小明", "1980-05-06")
    assert (identity.email, identity.phone) == ("new@example.com", "+8619900001234")
    assert (row["city"], row["language"], row["sources"]) == ("青禾市", "en", ["app_events", "crm", "his"])
    assert (row["email_state"], row["phone_state"]) == ("valid", "valid")
    assert row["email_blind"] == small_world.vault.blind_index("email", "new@example.com")
    assert row["phone_blind"] == small_world.vault.blind_index("phone", "+8619900001234")


OPENIDS = ("oQh_000000000000000000000001", "oQh_000000000000000000000002")
DEVICE = "f" * 22 + ":APA91b" + "x" * 120


def test_the_vault_has_each_detail_in_its_own_place(small_world: World) -> None:
    """Nobody's letter may go to an openid."""
    known = {
        "national_id": "11010519491231002X", "mrn": "P7", "full_name": "王小明", "gender": "male",
        "birth_date": "1949-12-31", "phone": "19900001234", "email": "new@example.com", "address_line": "示范路1号",
        "district": "东湖区", "city": "青禾市", "country": "CN", "openid": OPENIDS[0], "device_token": DEVICE,
    }  # fmt: skip
    row = _one(small_world, patient("a", **known))
    with small_world.ledger.begin() as connection:
        identity = small_world.vault.open_many(connection, [row["person_id"]])[row["person_id"]]
    postal = identity.postal or ""
    assert "示范路1号" in postal
    assert asdict(identity) == {
        "name": "王小明", "email": "new@example.com", "phone": "+8619900001234", "national_id": "11010519491231002X",
        "mrn": "P7", "birth_date": "1949-12-31", "address_line": "示范路1号", "gender": "male", "postal": postal,
        "openid": OPENIDS[0], "device_token": DEVICE,
    }  # fmt: skip


def test_what_a_machine_made_is_taken_as_it_is_and_the_newest_counts(small_world: World) -> None:
    row = _one(
        small_world,
        patient("a", "crm", **WANG, openid=OPENIDS[0]),
        patient("b", "crm", **WANG, openid=f" {OPENIDS[1]} ", extract_date="2026-03-01"),
        patient("c", "app_events", **WANG, device_token=DEVICE),
        patient("d", "app_events", **WANG, device_token="not a token", extract_date="2026-03-01"),
    )
    with small_world.ledger.begin() as connection:
        vault = small_world.vault
        contact = vault.address_book(connection, [row["person_id"]])[row["person_id"]]
        assert vault.find(connection, "openid", OPENIDS[0]) == vault.find(connection, "openid", OPENIDS[1])
    assert (contact.address("openid"), contact.address("device_token")) == (OPENIDS[1], DEVICE)
    assert (row["openid_state"], row["device_token_state"]) == ("valid", "valid")
    assert row["openid_blind"] == vault.blind_index("openid", OPENIDS[1])
    assert row["device_token_blind"] == vault.blind_index("device_token", DEVICE)


@pytest.mark.parametrize(
    ("openid", "state"),
    [(None, "missing"), ("", "missing"), ("short", "invalid"), ("oQh_" + "0" * 23 + "！", "invalid")],
)
def test_an_openid_that_is_none_is_no_way_to_anybody(small_world: World, openid: str | None, state: str) -> None:
    row = _one(small_world, patient("a", **WANG, openid=openid, device_token=openid))
    assert (row["openid_state"], row["device_token_state"]) == (state, state)
    assert (row["openid_blind"], row["device_token_blind"]) == (None, None)


def test_one_openid_makes_nobody_one_person(small_world: World) -> None:
    """Families share a phone, and with it an account."""
    small_world.resolve(
        patient("a", **WANG, openid=OPENIDS[0]),
        patient("b", full_name="李伟", birth_date="1950-01-01", gender="male", openid=OPENIDS[0]),
    )
    assert len(small_world.persons(AS_OF)) == 2


def test_a_new_openid_is_a_change_and_none_is_not(small_world: World) -> None:
    def fingerprints(**more: Any) -> list[str]:
        small_world.resolve(patient("a", **WANG, **more))
        return [
            row["fingerprint"]
            for row in small_world.ledger.read_arrow("SELECT fingerprint FROM person_alias").to_pylist()
        ]

    before = fingerprints()
    assert fingerprints(openid=None, device_token=None) == before
    assert fingerprints(openid=OPENIDS[0]) != before
    assert fingerprints() == before


def test_snapshot_and_vault_agree_on_the_address_night_after_night(world: World) -> None:
    his = patient("a", **WANG, email="his@example.com")
    crm = {**patient("b", "crm", mrn="P7", email="crm@example.com"), "city": "白沙市"}
    nights = [
        (his, crm),
        # only the city changed: nobody's address did
        (his, {**crm, "city": "青禾市", "extract_date": "2026-03-02"}),
        ({**his, "email": "newer@example.com", "extract_date": "2026-03-03"}, crm),
    ]
    expected = ["his@example.com", "his@example.com", "newer@example.com"]
    for night, (rows, address) in enumerate(zip(nights, expected, strict=True)):
        now = NOW + timedelta(days=night)
        world.resolve(*rows, now=now)
        (row,) = world.persons(now)
        with world.ledger.begin() as connection:
            contact = world.vault.address_book(connection, [row["person_id"]])[row["person_id"]]
        assert contact.email == address
        assert row["email_blind"] == world.vault.blind_index("email", address)


@pytest.mark.parametrize(
    ("email", "state"), [("a@example.com", "valid"), ("a@@b", "invalid"), ("", "missing"), (None, "missing")]
)
def test_the_state_of_an_address(small_world: World, email: str | None, state: str) -> None:
    row = _one(small_world, patient("a", **WANG, email=email))
    assert row["email_state"] == state
    assert (row["email_blind"] is not None) == (state == "valid")


@pytest.mark.parametrize(
    ("as_of", "expected"),
    [
        (
            "2026-03-01T01:00+00:00",
            {
                "1980-03-01": (46, 0),
                "1980-03-02": (45, 1),
                "2000-02-29": (26, 364),
                "2026-02-28": (0, 364),
                "1890-01-01": (None, None),
                "2126-01-01": (None, None),
                None: (None, None),
            },
        ),
        # half past midnight in Shanghai: the birthday has begun there
        ("2026-03-01T16:30+00:00", {"1980-03-02": (46, 0)}),
        ("2026-02-27T01:00+00:00", {"2000-02-29": (25, 1)}),
        ("2026-02-28T01:00+00:00", {"2000-02-29": (26, 0)}),
        ("2028-02-28T01:00+00:00", {"2000-02-29": (27, 1)}),
        ("2028-02-29T01:00+00:00", {"2000-02-29": (28, 0)}),
    ],
)
def test_age_and_birthday(
    small_world: World, as_of: str, expected: dict[str | None, tuple[int | None, int | None]]
) -> None:
    moment = datetime.fromisoformat(as_of)
    small_world.resolve(*(patient(str(birth), birth_date=birth) for birth in expected), now=moment)
    births = {person: source_id for (_, source_id), person in small_world.person_map().items()}
    found = {births[row["person_id"]]: (row["age"], row["days_to_birthday"]) for row in small_world.persons(moment)}
    assert found == {str(birth): facts for birth, facts in expected.items()}


def test_age_bands(small_world: World) -> None:
    bands = {0: "0-13", 13: "0-13", 14: "14-34", 34: "14-34", 44: "35-44", 59: "45-59", 74: "60-74", 75: "75+"}
    small_world.resolve(*(patient(str(age), birth_date=date(2026 - age, 1, 15)) for age in bands))
    assert {row["age"]: row["age_band"] for row in small_world.persons()} == bands


def test_a_person_of_whom_little_is_known_has_defaults(small_world: World) -> None:
    row = _one(small_world, patient("a", full_name="王小明", gender="unknown"))
    assert (row["language"], row["time_zone"], row["country"]) == ("zh_CN", "Asia/Shanghai", "CN")
    assert (row["gender"], row["deceased"], row["inpatient_now"]) == (None, False, False)
    assert (row["conditions"], row["topics_off"], row["encounters_12m"]) == ([], [], 0)


def test_columns_are_those_of_the_architecture(small_world: World) -> None:
    described = []
    for line in (
        (ROOT / "docs" / "architecture.md").read_text("utf-8").split("| column | type | meaning |")[1].splitlines()
    ):
        if line.startswith("| ") and "---" not in line:
            described += [name.strip() for name in line.split("|")[1].split(",")]
        elif described and not line.startswith("|"):
            break
    assert list(_one(small_world)) == described


# ----------------------------------------------------------------------------------------------------- as of a moment
def test_visits(small_world: World) -> None:
    visits = [
        _of(**{"class": "AMB"}, started_at=_days(-500), ended_at=_days(-500), department="cardiology"),
        _of(**{"class": "EMER"}, started_at=_days(-100), ended_at=_days(-100), department="emergency"),
        _of(**{"class": "IMP"}, started_at=_days(-90), ended_at=_days(-80), department="surgery"),
        _of(**{"class": "IMP"}, started_at=_days(-5), department="oncology"),
        _of(**{"class": "AMB"}, started_at=_days(2), department="nephrology"),
    ]
    row = _one(small_world, encounter=visits)
    assert (row["first_encounter_at"], row["last_encounter_at"]) == (_days(-500), _days(-5))
    assert (row["last_discharge_at"], row["inpatient_now"]) == (_days(-80), True)
    assert (row["encounters_12m"], row["emergency_visits_12m"], row["last_department"]) == (3, 1, "oncology")


def test_a_stay_that_nobody_closed_for_two_months_is_over(small_world: World) -> None:
    row = _one(small_world, encounter=[_of(**{"class": "IMP"}, started_at=_days(-61))])
    assert row["inpatient_now"] is False


def test_appointments(small_world: World) -> None:
    booked = {"booked_at": _days(-9), "status": "booked"}
    appointments = [
        _of(**booked, start_at=_days(9), service="follow_up", department="cardiology"),
        _of(**booked | {"booked_at": _days(-3)}, start_at=_days(4), service="surgery", department="orthopaedics"),
        _of(**booked | {"status": "cancelled"}, start_at=_days(1), service="screening"),
        _of(**booked | {"booked_at": _days(1)}, start_at=_days(2), service="vaccination"),
        _of(**booked | {"status": "noshow"}, start_at=_days(-2)),
        _of(booked_at=_days(-500), status="noshow", start_at=_days(-450)),
    ]
    row = _one(small_world, appointment=appointments)
    assert (row["next_appointment_at"], row["next_appointment_service"]) == (_days(4), "surgery")
    assert row["next_appointment_department"] == "orthopaedics"
    assert (row["last_appointment_booked_at"], row["noshows_12m"]) == (_days(-3), 1)


def test_conditions_medicines_procedures_and_allergies(small_world: World) -> None:
    coded = {"system": "icd10", "code": "x"}
    row = _one(
        small_world,
        condition=[
            _of(**coded, concepts=["hypertension"], onset_at=_days(-9)),
            _of(**coded, concepts=["gallstones"], onset_at=_days(-90), abated_at=_days(-9)),
            _of(**coded, concepts=["pregnancy", "obesity"], onset_at=_days(-90), abated_at=_days(9)),
            _of(**coded, concepts=["stroke"], onset_at=_days(9)),
            _of(**coded, concepts=[], onset_at=_days(-9)),
        ],
        medication_request=[
            _of(**coded, concepts=["statin"], status="active", authored_at=_days(-9)),
            _of(**coded, concepts=["insulin"], status="active", authored_at=_days(-9), ended_at=_days(-1)),
            _of(**coded, concepts=["metformin"], status="stopped", authored_at=_days(-9)),
        ],
        procedure=[
            _of(**coded, concepts=["colonoscopy"], status="completed", performed_at=_days(-90)),
            _of(**coded, concepts=["knee_replacement"], status="completed", performed_at=_days(-9)),
            _of(**coded, concepts=["coronary_stent"], status="not-done", performed_at=_days(-2)),
            _of(**coded, concepts=[], status="completed", performed_at=_days(-1)),
        ],
        allergy_intolerance=[_of(**coded, concepts=["nut_allergy"]), _of(**coded, concepts=["nut_allergy"])],
    )
    assert row["conditions"] == ["hypertension", "obesity", "pregnancy"]
    assert row["conditions_ever"] == ["gallstones", "hypertension", "obesity", "pregnancy"]
    assert (row["medications"], row["allergies"]) == (["statin"], ["nut_allergy"])
    assert row["procedures"] == ["colonoscopy", "knee_replacement"]
    assert (row["last_procedure_concept"], row["last_procedure_at"]) == ("knee_replacement", _days(-9))


def test_wishes_and_behaviour(small_world: World) -> None:
    row = _one(
        small_world,
        preference=[
            _of(channel="sms", language="en", quiet_from="20:00", quiet_to="09:00", updated_at=_days(-9)),
            _of(
                channel="email",
                quiet_from="25:00",
                quiet_to="09:00",
                topics_off="nutrition| sleep",
                updated_at=_days(-1),
            ),
            _of(channel="call", updated_at=_days(1)),
        ],
        interaction=[
            _of(kind="article_read", occurred_at=_days(-1)),
            _of(kind="login", occurred_at=_days(-29)),
            _of(kind="article_read", occurred_at=_days(-60)),
            _of(kind="article_read", occurred_at=_days(-91)),
        ],
        questionnaire_response=[
            _of(questionnaire="nps", score=3.0, answered_at=_days(-9)),
            _of(questionnaire="nps", score=9.0, answered_at=_days(-1)),
            _of(questionnaire="visit_satisfaction", score=1.0, answered_at=_days(0)),
        ],
    )
    assert (row["preferred_channel"], row["language"]) == ("email", "en")
    assert (row["quiet_from"], row["quiet_to"], row["topics_off"]) == ("20:00", "09:00", ["nutrition", "sleep"])
    assert (row["interactions_30d"], row["articles_read_90d"], row["last_nps"]) == (2, 2, 9.0)


def test_a_death_counts_from_its_day_in_whichever_system_it_stands(small_world: World) -> None:
    rows = [patient("a", **WANG), patient("b", "crm", mrn="P7", deceased_at=_days(1))]
    assert _one(small_world, *rows)["deceased"] is False
    small_world.resolve(*rows, now=AS_OF + timedelta(days=2))
    assert small_world.persons(AS_OF + timedelta(days=2))[0]["deceased"] is True


def test_what_happened_later_or_belongs_to_nobody_is_left_out_and_counted(small_world: World) -> None:
    coded = {"system": "local:lis", "code": "GHB", "concepts": ["hba1c"], "unit": "%"}
    small_world.resolve(
        patient("a", **WANG),
        observation=[
            _of(**coded, value=6.1, effective_at=_days(-1)),
            _of(**coded, value=9.9, effective_at=_days(1)),
            _of("stranger", **coded, value=7.7, effective_at=_days(-1)),
        ],
    )
    draft, report = small_world.snapshot()
    assert pq.read_table(draft.table("observation"))["value"].to_pylist() == [6.1]
    assert report.tables["observation"] == 1
    assert report.left_out == {"observation": 2}
    assert report.to_json()["persons"] == 1


# --------------------------------------------------------------------------------------------------------- identities
CANARY = {
    "full_name": "卡娜丽雅",
    "birth_date": "1971-07-17",
    "national_id": "11010519491231002X",
    "mrn": "MRN-CANARY-1",
    "phone": "19900007777",
    "email": "canary.bird@example.com",
    "address_line": "金丝雀路77号",
}
SECRETS = ("卡娜丽雅", "1971-07-17", "11010519491231002X", "CANARY", "9900007777", "canary", "金丝雀")


def test_no_identifying_value_reaches_the_snapshot(world: World) -> None:
    tables = {
        table.name: [
            {"patient_source_id": "canary-id"}
            | {
                column.name: ["hypertension"] if column.type == "VARCHAR[]" else _days(-1)
                for column in table.columns
                if column.type in ("VARCHAR[]", "TIMESTAMP")
            }
        ]
        for table in snapshot.HISTORIES
    }
    world.resolve(patient("canary-id", **CANARY), **tables)
    draft, report = world.snapshot()
    assert set(report.tables) == {file.stem for file in (draft.path / "tables").glob("*.parquet")}
    assert all(rows == 1 for rows in report.tables.values())
    for file in (draft.path / "tables").glob("*.parquet"):
        text = str(duckdb.sql(f"SELECT * FROM '{file}'").fetchall()) + str(pq.read_schema(file).names)
        raw = file.read_bytes()
        for secret in SECRETS:
            assert secret.lower() not in text.lower(), file.name
            assert secret.encode() not in raw, file.name
        identifying = {column.name for table in TABLES.values() for column in table.columns if column.identifying}
        assert not identifying & set(pq.read_schema(file).names)
        assert "canary-id" not in text


def test_merged_people_are_one_row_with_one_history(world: World) -> None:
    visit = [
        _of("a", **{"class": "AMB"}, started_at=_days(-2)),
        {"source": "crm", **_of("b", **{"class": "AMB"}, started_at=_days(-1))},
    ]
    other = patient("b", "crm", full_name="李娜", birth_date="1990-01-01")
    world.resolve(patient("a", **WANG), other, encounter=visit)
    assert sorted(row["encounters_12m"] for row in world.persons()) == [1, 1]
    ids = list(world.person_map().values())
    with world.ledger.begin() as connection:
        people.merge(connection, [people.Merge(ids[0], ids[1], "review:desk")], AS_OF)
    world.again()
    (row,) = world.persons()
    assert (row["person_id"], row["encounters_12m"], row["sources"]) == (ids[0], 2, ["crm", "his"])
    with world.ledger.begin() as connection:
        people.split(connection, ids[0], [ids[1]], "review:desk", AS_OF)
    world.again()
    rows = {row["person_id"]: row for row in world.persons()}
    assert {person: row["encounters_12m"] for person, row in rows.items()} == dict.fromkeys(ids, 1)


def test_a_full_disk_is_said_plainly_and_names_no_patient(small_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    small_world.resolve(patient("a", **CANARY))
    draft = small_world.warehouse.begin("full", AS_OF)
    (draft.path / "tables").rmdir()
    with pytest.raises(StoreUnavailable, match="previous snapshot stays current") as caught:
        snapshot.build_snapshot(
            small_world.clean, draft, small_world.ledger, small_world.vault,
            as_of=AS_OF, settings=small_world.settings, warehouse=small_world.warehouse,
        )  # fmt: skip
    assert not any(secret in str(caught.value) for secret in SECRETS)


# ----------------------------------------------------------------------------------------------------------- fictional
def test_patients_without_addresses_get_marked_ones_and_consents(world: World, tmp_path: Path) -> None:
    world.resolve(patient("a", **WANG | {"email": "real@example.org"}), patient("b", "crm", full_name="李娜"))
    secret = world.ledger.info.secret
    assert fictional_contacts(world.clean, secret=secret, warehouse=world.warehouse) == 1
    assert fictional_contacts(world.clean, secret=secret, warehouse=world.warehouse) == 1
    world.again()
    assert all(row["email_state"] == "valid" for row in world.persons())
    with world.ledger.begin() as connection:
        book = world.vault.address_book(connection, set(world.person_map().values()))
    emails = sorted(str(contact.email) for contact in book.values())
    assert emails[1] == "real@example.org"
    assert emails[0].endswith("@fictional.example")
    assert not _invented(world)
    report = world.record_consents()
    assert (report.rows, report.recorded, report.ahead, report.unknown_people) == (12, 12, 0, 0)
    assert world.record_consents().recorded == 0
    assert _invented(world)


def _invented(world: World) -> bool:
    """Whether the ledger says of itself that it holds invented consents, and may not leave the sandbox."""
    with world.ledger.reading() as connection:
        return consent.holds_invented(connection)


def test_what_patients_wished_on_their_own_page_is_in_the_picture(small_world: World) -> None:
    crm = {"source": "crm", "channel": "sms", "quiet_from": "20:00", "quiet_to": "09:00", "topics_off": "sleep"}
    wish = _of("c", **crm, updated_at=_days(-3))
    known = (patient("c", "crm", **WANG), patient("a", **WANG))
    before = _one(small_world, *known, preference=[wish])
    said = [
        WishEvent(before["person_id"], WishKind.TOPICS_OFF, "diabetes", AS_OF - timedelta(days=1), "preferences"),
        WishEvent(before["person_id"], WishKind.QUIET, "-", AS_OF - timedelta(days=4), "preferences"),
        WishEvent(before["person_id"], WishKind.LANGUAGE, "en", AS_OF + timedelta(days=1), "preferences"),
        WishEvent("p0000000000000000", WishKind.LANGUAGE, "en", AS_OF - timedelta(days=1), "preferences"),
    ]
    with small_world.ledger.begin() as connection:
        wishes.record(connection, said, AS_OF)
    (after,) = small_world.persons(AS_OF)
    assert after == {**before, "topics_off": ["diabetes"]}
    draft, report = small_world.snapshot(AS_OF)
    rows = pq.read_table(draft.table("preference")).to_pylist()
    ours = [("alongside", before["person_id"])] * 2
    assert sorted((row["source"], row["person_id"]) for row in rows) == [*ours, ("crm", before["person_id"])]
    assert "preference" not in report.left_out


def test_what_patients_answered_on_our_pages_is_in_the_picture(small_world: World) -> None:
    told = {"questionnaire": "nps", "score": 9.0, "answered_at": _days(-20)}
    known = (patient("a", **WANG),)
    before = _one(small_world, *known, questionnaire_response=[_of("a", **told)])
    assert before["last_nps"] == 9.0
    for number, (person_id, days) in enumerate(
        [(before["person_id"], -1), (before["person_id"], 1), ("p" + "0" * 16, -1)]
    ):
        answer = surveys.Response(
            f"{number:032x}", person_id, "visit", {"nps": 3, "clear_explanation": 2}, AS_OF + timedelta(days=days)
        )
        with small_world.ledger.begin() as connection:
            surveys.write(connection, answer, AS_OF)
    (after,) = small_world.persons(AS_OF)
    assert after == {**before, "last_nps": 3.0}
    draft, report = small_world.snapshot(AS_OF)
    rows = pq.read_table(draft.table("questionnaire_response")).to_pylist()
    assert sorted((row["source"], row["questionnaire"], row["score"]) for row in rows) == [
        ("alongside", "clear_explanation", 2.0),
        ("alongside", "nps", 3.0),
        ("his", "nps", 9.0),
    ]
    assert "questionnaire_response" not in report.left_out
