"""The demo hospital's days: what changes, what repeats exactly, and what becomes of bookings."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from alongside.model.errors import DataInvalid, Refused
from alongside.sandbox.hospital import Booking, advance, daily, generate, read_bookings
from alongside.sandbox.hospital.dirt import CLEAN
from alongside.sandbox.hospital.extracts import EXTRACTS
from tests.sandbox.test_hospital import COLUMNS, START, Rows, digest, read

PLAYED = 24


def day(number: int) -> date:
    return START + timedelta(days=number)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clean hospital on the morning of its dump; copy it before playing days."""
    root = tmp_path_factory.mktemp("fresh")
    generate(root, patients=1_500, dirt=CLEAN)
    return root


@pytest.fixture(scope="module")
def played(fresh: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("played") / "hospital"
    shutil.copytree(fresh, root)
    for number in range(1, PLAYED + 1):
        advance(root, day(number))
    return root


@pytest.fixture
def hospital(fresh: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(fresh, tmp_path / "hospital"))


def latest(root: Path, name: str, key: str, days: int = PLAYED) -> dict[str, dict[str, str]]:
    """Rows as a reader sees them: a later row replaces the earlier one."""
    return {row[key]: row for number in range(days + 1) for row in read(root, name, day(number))}


def since(root: Path, name: str) -> Rows:
    return [row for number in range(1, PLAYED + 1) for row in read(root, name, day(number))]


def reader(root: Path, condition: str = "hypertension") -> dict[str, str]:
    """Somebody alive with an e-mail address of their own and a condition."""
    people = pq.read_table(root / "truth" / "people" / f"{START}.parquet").to_pylist()
    addresses = pq.read_table(root / "truth" / "addresses" / f"{START}.parquet")["email"].to_pylist()
    return next(
        row
        for row in people
        if row["email"]
        and not row["deceased_at"]
        and condition in row["conditions"]
        and addresses.count(row["email"]) == 1
    )


# ------------------------------------------------------------------------------------------------------- the files
def test_a_day_has_every_file_with_the_agreed_columns(played: Path) -> None:
    for name, columns in COLUMNS.items():
        rows = since(played, name)
        assert all(EXTRACTS[name].path(played, day(number)).is_file() for number in range(1, PLAYED + 1))
        assert all(list(row) == columns.split(",") for row in rows)


@pytest.mark.parametrize("name", [name for name in COLUMNS if name != "his.allergies"])
def test_within_weeks_something_of_everything_happens(played: Path, name: str) -> None:
    assert since(played, name)


def test_writing_a_day_again_gives_the_same_bytes(hospital: Path) -> None:
    bookings = [Booking(datetime(2026, 2, 28, 6, tzinfo=UTC), reader(hospital)["email"])]
    advance(hospital, day(1), bookings)
    before = digest(hospital)
    advance(hospital, day(1), bookings)
    assert digest(hospital) == before


def test_the_same_days_of_the_same_hospital_are_the_same(hospital: Path, played: Path) -> None:
    for number in (1, 2, 3):
        advance(hospital, day(number))
    for name in COLUMNS:
        path = EXTRACTS[name].path
        assert path(hospital, day(3)).read_bytes() == path(played, day(3)).read_bytes()


def test_a_day_that_is_written_again_without_a_booking_forgets_it(hospital: Path) -> None:
    advance(hospital, day(1))
    before = digest(hospital)
    advance(hospital, day(1), [Booking(datetime(2026, 2, 28, 6, tzinfo=UTC), reader(hospital)["email"])])
    assert digest(hospital) != before
    advance(hospital, day(1))
    assert digest(hospital) == before


@pytest.mark.parametrize(("number", "what"), [(0, "not after the first dump"), (-3, "not after"), (2, "is missing")])
def test_days_are_played_in_order(hospital: Path, number: int, what: str) -> None:
    with pytest.raises(Refused, match=what):
        advance(hospital, day(number))


def test_another_seed_is_another_hospital(hospital: Path) -> None:
    with pytest.raises(Refused, match="seed"):
        advance(hospital, day(1), seed=1)


def test_there_must_be_a_hospital(tmp_path: Path) -> None:
    with pytest.raises(DataInvalid, match="no demo hospital here"):
        advance(tmp_path, day(1))


# -------------------------------------------------------------------------------------------------------- the life
def test_every_row_belongs_to_the_day_before_its_extract(played: Path) -> None:
    columns = {
        "his.vitals": "measured_at",
        "lis.results": "reported_at",
        "app_events.events": "occurred_at",
        "app_events.readings": "measured_at",
        "crm.surveys": "answered_at",
    }
    for name, column in columns.items():
        for number in range(1, PLAYED + 1):
            first, last = f"{day(number - 1)} 00:00:00", f"{day(number)} 02:00:00"
            assert all(first <= row[column] < last for row in read(played, name, day(number))), name


def test_appointments_are_settled_on_their_day(played: Path) -> None:
    known = latest(played, "his.appointments", "appointment_no")
    past = [row for row in known.values() if "2026-02-28 02" < row["start_at"] < f"{day(PLAYED)} 00:00:00"]
    assert {row["status"] for row in past} == {"已完成", "爽约", "已取消"}
    missed = sum(row["status"] == "爽约" for row in past) / len(past)
    assert 0.01 < missed < 0.2
    ahead = [row for row in known.values() if row["start_at"] >= f"{day(PLAYED)} 02:00:00"]
    assert ahead
    assert {row["status"] for row in ahead} <= {"已预约", "已取消"}


def test_a_kept_appointment_is_a_visit(played: Path) -> None:
    visits = {(row["patient_no"], row["start_time"]) for row in since(played, "his.visits")}
    kept = [
        row for row in since(played, "his.appointments") if row["status"] == "已完成" and row["service"] != "surgery"
    ]
    found = [row for row in kept if (row["patient_no"], row["start_at"]) in visits]
    assert kept
    assert len(found) / len(kept) > 0.9  # operations begin at an hour of their own


def test_people_in_bed_are_discharged(played: Path) -> None:
    in_bed = [row["visit_no"] for row in read(played, "his.visits") if not row["end_time"]]
    now = latest(played, "his.visits", "visit_no")
    assert in_bed
    assert all(now[number]["end_time"] for number in in_bed)


def test_running_prescriptions_run_out(played: Path) -> None:
    first = {row["order_no"] for row in read(played, "his.prescriptions") if row["status"] == "有效"}
    now = latest(played, "his.prescriptions", "order_no")
    ended = [now[number] for number in first if now[number]["status"] == "完成"]
    assert 0.2 < len(ended) / len(first) < 0.95
    for row in now.values():
        end = datetime.fromisoformat(row["ordered_at"]) + timedelta(days=int(row["days"]))
        assert (row["status"] == "有效") == (end >= datetime.fromisoformat(f"{day(PLAYED)} 02:00:00")) or row[
            "stopped_at"
        ]


def test_pregnancies_end_with_a_birth(played: Path) -> None:
    births = [row for row in since(played, "his.visits") if row["icd10"] in {"O80.9", "O82.9"}]
    now = latest(played, "his.diagnoses", "diagnosis_no").values()
    over = {row["patient_no"] for row in now if row["icd10"].startswith("Z34") and row["resolved_at"]}
    assert births
    assert {row["patient_no"] for row in births} <= over


def test_nothing_happens_to_anybody_after_death(hospital: Path) -> None:
    """Somebody who is about to come dies: the appointment is called off and nobody comes."""
    advance(hospital, day(1))
    advance(hospital, day(2))
    due = pq.read_table(hospital / "truth" / "open" / f"{START}" / "appointments.parquet").to_pylist()
    monday = next(row for row in due if date(1970, 1, 1) + timedelta(days=row["due"]) == day(2))
    dead = pa.table({"due": [monday["due"] - 1], "index": [monday["index"]]})
    pq.write_table(dead, hospital / "truth" / "open" / f"{day(2)}" / "deaths.parquet")
    advance(hospital, day(3))
    settled = {row["appointment_no"]: row for row in read(hospital, "his.appointments", day(3))}[monday["text"]]
    assert settled["status"] == "已取消"
    assert settled["patient_no"] not in {row["patient_no"] for row in read(hospital, "his.visits", day(3))}


def test_deaths_are_written_into_the_patients_record(hospital: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daily, "YEAR", 2.0)  # as many die in two days as otherwise in a year
    before = {row["patient_no"]: row for row in read(hospital, "his.patients")}
    dead: set[str] = set()
    for number in range(1, 6):
        advance(hospital, day(number))
        assert dead.isdisjoint(
            row["patient_no"] for row in read(hospital, "his.visits", day(number)) if row["end_time"]
        )
        gone = [row for row in read(hospital, "his.patients", day(number)) if row["deceased_at"]]
        assert all(row | {"deceased_at": ""} == before[row["patient_no"]] for row in gone)
        assert dead.isdisjoint(row["patient_no"] for row in gone)
        dead |= {row["patient_no"] for row in gone}
    assert dead


def test_new_patients_are_known_to_the_truth(played: Path) -> None:
    new = {row["patient_no"] for row in since(played, "his.patients") if row["registered_at"] >= "2026-02-28"}
    known = set()
    for path in sorted((played / "truth" / "records").glob("*.parquet"))[1:]:
        known |= {row["source_id"] for row in pq.read_table(path).to_pylist() if row["source"] == "his"}
    assert new
    assert new == known


def test_ids_given_on_different_days_differ(played: Path) -> None:
    for name, key in (("lis.results", "result_no"), ("his.vitals", "vital_no"), ("app_events.events", "event_id")):
        ids = [row[key] for number in range(PLAYED + 1) for row in read(played, name, day(number))]
        assert len(set(ids)) == len(ids), name


# ---------------------------------------------------------------------------------------------------- the bookings
def test_a_booking_stands_in_the_next_extract_as_a_follow_up(hospital: Path) -> None:
    person = reader(hospital)
    booking = Booking(datetime(2026, 2, 28, 6, 30, tzinfo=UTC), person["email"].upper() + " ")
    report = advance(hospital, day(1), [booking, booking])
    rows = [
        row for row in read(hospital, "his.appointments", day(1)) if row["appointment_no"] == booking.appointment_no
    ]
    assert report.bookings == 1
    assert [(row["patient_no"], row["service"], row["status"], row["booked_at"]) for row in rows] == [
        (person["his_ids"][0], "follow_up", "已预约", "2026-02-28 14:30:00")
    ]
    assert "2026-03-02" <= rows[0]["start_at"] <= "2026-03-13"


def test_all_bookings_may_be_given_every_day(hospital: Path) -> None:
    email = reader(hospital)["email"]
    early, late = (Booking(datetime(2026, 2, 28, 6, tzinfo=UTC) + timedelta(days=n), email) for n in (0, 2))
    reports = [advance(hospital, day(number), [late, early]) for number in (1, 2, 3)]
    assert [report.bookings for report in reports] == [1, 0, 1]
    assert [report.later for report in reports] == [(late,), (late,), ()]
    numbers = [row["appointment_no"] for n in (1, 2, 3) for row in read(hospital, "his.appointments", day(n))]
    assert numbers.count(early.appointment_no) == numbers.count(late.appointment_no) == 1


def test_the_cut_is_two_in_the_morning(hospital: Path) -> None:
    email = reader(hospital)["email"]
    before = Booking(datetime(2026, 2, 28, 17, 59, 59, tzinfo=UTC), email)
    after = Booking(datetime(2026, 2, 28, 18, 0, 0, tzinfo=UTC), email)
    report = advance(hospital, day(1), [before, after])
    assert (report.bookings, report.later) == (1, (after,))


def test_a_booked_follow_up_is_settled_like_any_other(hospital: Path) -> None:
    booking = Booking(datetime(2026, 2, 28, 6, tzinfo=UTC), reader(hospital)["email"])
    for number in range(1, 17):
        advance(hospital, day(number), [booking])
    assert latest(hospital, "his.appointments", "appointment_no", 16)[booking.appointment_no]["status"] != "已预约"


def test_an_address_that_nobody_reads_is_counted(hospital: Path) -> None:
    report = advance(hospital, day(1), [Booking(datetime(2026, 2, 28, 6, tzinfo=UTC), "nobody@example.com")])
    assert (report.bookings, report.unknown_readers) == (0, 1)


def test_of_a_family_the_chronically_ill_adult_is_meant(hospital: Path) -> None:
    people = {row["index"]: row for row in pq.read_table(hospital / "truth/people/2026-02-28.parquet").to_pylist()}
    rows = pq.read_table(hospital / "truth/addresses/2026-02-28.parquet").to_pylist()
    families: dict[str, list[dict[str, int]]] = {}
    for row in rows:
        families.setdefault(row["email"], []).append(row)
    email, family = next((email, each) for email, each in families.items() if {row["rank"] for row in each} >= {0, 2})
    meant = people[min((row["rank"], row["index"]) for row in family)[1]]
    booking = Booking(datetime(2026, 2, 28, 6, tzinfo=UTC), email)
    advance(hospital, day(1), [booking])
    rows = [
        row for row in read(hospital, "his.appointments", day(1)) if row["appointment_no"] == booking.appointment_no
    ]
    assert [row["patient_no"] for row in rows] == meant["his_ids"][:1]


def test_a_naive_moment_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        _ = Booking(datetime(2026, 2, 28, 6), "a@example.com").appointment_no  # noqa: DTZ001


# ------------------------------------------------------------------------------------------------ the bookings' file
def line(**fields: str) -> str:
    record = {"to": "a@example.com", "at": "2026-03-01T04:05:06Z", "service": "follow_up", "message": "m1"}
    return json.dumps(record | fields) + "\n"


def test_bookings_are_read_from_where_one_left_off(tmp_path: Path) -> None:
    path = tmp_path / "bookings.ndjson"
    path.write_text(line() + "\n" + line(to="b@example.org", at="2026-03-01T12:05:06+08:00", service="screening"))
    bookings, offset = read_bookings(path)
    assert bookings == [
        Booking(datetime(2026, 3, 1, 4, 5, 6, tzinfo=UTC), "a@example.com", "follow_up"),
        Booking(datetime(2026, 3, 1, 4, 5, 6, tzinfo=UTC), "b@example.org", "screening"),
    ]
    with path.open("a") as file:
        file.write(line(to="c@example.org") + line()[:20])
    more, later = read_bookings(path, offset)
    assert [booking.email for booking in more] == ["c@example.org"]
    with path.open("a") as file:
        file.write(line()[20:])
    assert [booking.email for booking in read_bookings(path, later)[0]] == ["a@example.com"]


def test_a_file_that_is_not_there_yet_holds_no_bookings(tmp_path: Path) -> None:
    assert read_bookings(tmp_path / "none.ndjson", 5) == ([], 5)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("not json\n", "cannot be read"),
        ("[]\n", "cannot be read"),
        ('{"to": "secret@example.com"}\n', "cannot be read"),
        (line(at="yesterday"), "cannot be read"),
        (line(service="folow_up"), "did you mean 'follow_up'"),
    ],
)
def test_a_bad_line_is_named_without_its_address(tmp_path: Path, text: str, what: str) -> None:
    path = tmp_path / "bookings.ndjson"
    path.write_text(line() + text)
    with pytest.raises(DataInvalid, match=what) as caught:
        read_bookings(path)
    assert "bookings.ndjson at byte" in str(caught.value)
    assert "secret" not in str(caught.value)
