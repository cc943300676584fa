"""The files that the hospital's systems hand out: their columns, encodings and formats, written chunk by chunk."""

from __future__ import annotations

import codecs
import gzip
import io
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import IO, Any, cast

import pyarrow as pa

SYSTEMS = ("his", "lis", "crm", "app_events")


@dataclass(frozen=True)
class Extract:
    """One file of a system. `name` is what the code calls it, for example `his.visits`."""

    name: str
    file: str
    columns: tuple[str, ...]

    @property
    def system(self) -> str:
        return self.name.split(".")[0]

    def path(self, root: Path, day: date) -> Path:
        return root / self.system / day.isoformat() / self.file


def _extract(name: str, file: str, columns: str) -> Extract:
    return Extract(name, file, tuple(columns.split(",")))


EXTRACTS: dict[str, Extract] = {
    item.name: item
    for item in (
        _extract(
            "his.patients",
            "patients.csv",
            "patient_no,name,sex,birth_date,id_card,mobile,email,address,district,city,postcode,language,registered_at,deceased_at",
        ),
        _extract(
            "his.visits",
            "visits.csv",
            "visit_no,patient_no,visit_type,dept,doctor_no,start_time,end_time,icd10,diagnosis",
        ),
        _extract(
            "his.diagnoses",
            "diagnoses.csv",
            "diagnosis_no,visit_no,patient_no,icd10,diagnosis,diagnosed_at,resolved_at",
        ),
        _extract(
            "his.prescriptions",
            "prescriptions.csv",
            "order_no,visit_no,patient_no,atc,drug,days,ordered_at,stopped_at,status",
        ),
        _extract(
            "his.operations", "operations.csv", "operation_no,visit_no,patient_no,op_code,op_name,operated_at,status"
        ),
        _extract(
            "his.appointments",
            "appointments.csv",
            "appointment_no,patient_no,dept,service,doctor_no,booked_at,start_at,status",
        ),
        _extract("his.vaccinations", "vaccinations.csv", "record_no,patient_no,vaccine_code,vaccine,given_at"),
        _extract("his.allergies", "allergies.csv", "allergy_no,patient_no,allergen_code,allergen,recorded_at"),
        _extract("his.vitals", "vitals.csv", "vital_no,visit_no,patient_no,item,value,unit,measured_at"),
        _extract("lis.patients", "patients.csv", "lis_pid,mrn,name,sex,birth_date"),
        _extract("lis.results", "results.csv", "result_no,lis_pid,visit_no,item_code,item_name,value,unit,reported_at"),
        _extract(
            "crm.contacts",
            "contacts.parquet",
            "contact_id,mrn,name,gender,birth_date,phone,email,city,language,wechat_openid,created_at",
        ),
        _extract(
            "crm.consents",
            "consents.parquet",
            "consent_id,contact_id,purpose,channel,decision,decided_at,evidence",
        ),
        _extract(
            "crm.preferences",
            "preferences.parquet",
            "pref_id,contact_id,channel,language,quiet_from,quiet_to,topics_off,updated_at",
        ),
        _extract(
            "crm.relatives",
            "relatives.parquet",
            "relation_id,contact_id,relation,relative_id,name,gender,phone,email,language,guardian,may_be_told,since",
        ),
        _extract(
            "crm.relative_consents",
            "relative_consents.parquet",
            "consent_id,relative_id,purpose,channel,decision,decided_at,evidence",
        ),
        _extract("crm.surveys", "surveys.parquet", "response_id,contact_id,survey,score,answered_at"),
        _extract("app_events.users", "users.csv.gz", "user_id,mrn,phone,email,name,birth_date,push_token,created_at"),
        _extract("app_events.events", "events.csv.gz", "event_id,user_id,kind,topic,occurred_at,duration_seconds"),
        _extract("app_events.readings", "readings.csv.gz", "reading_id,user_id,item,value,unit,measured_at"),
    )
}
_NUMBERS = {"days": pa.int64(), "score": pa.float64(), "duration_seconds": pa.int64()}

Tables = Mapping[str, pa.Table]


def column_type(extract: Extract, column: str) -> Any:
    """Everything is text as the hospital wrote it, but for a few numbers."""
    return _NUMBERS.get(column, pa.string())


class ExtractWriter:
    """Writes every file of one day's folder; tables may come in many parts.

    Raises ValueError when a table's columns are not the extract's.
    """

    def __init__(self, root: Path, day: date) -> None:
        self.rows: dict[str, int] = dict.fromkeys(EXTRACTS, 0)
        self._stack = ExitStack()
        self._writers = {
            name: self._stack.enter_context(_writer(extract, root, day)) for name, extract in EXTRACTS.items()
        }

    def __enter__(self) -> ExtractWriter:
        return self

    def __exit__(self, *failure: object) -> None:
        self._stack.close()

    def write(self, tables: Tables) -> None:
        for name, table in tables.items():
            extract = EXTRACTS[name]
            if tuple(table.column_names) != extract.columns:
                raise ValueError(f"{name}: columns {table.column_names} are not {list(extract.columns)}")
            self._writers[name](table.cast(_schema(extract)))
            self.rows[name] += table.num_rows


def _schema(extract: Extract) -> Any:
    return pa.schema([(column, column_type(extract, column)) for column in extract.columns])


@contextmanager
def _writer(extract: Extract, root: Path, day: date) -> Iterator[Any]:
    """Yields a function that appends a table; the file appears under its name when it is complete."""
    path = extract.path(root, day)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    with part.open("wb") as file, _format(extract, file) as append:
        yield append
    part.replace(path)


@contextmanager
def _format(extract: Extract, file: IO[bytes]) -> Iterator[Any]:
    if extract.system == "crm":
        import pyarrow.parquet as pq

        with pq.ParquetWriter(file, _schema(extract), compression="zstd") as parquet:
            yield parquet.write_table
        return
    with _encoded(extract.system, file) as sink, _csv(sink, extract, "|" if extract.system == "lis" else ",") as csv:
        yield csv.write_table


def _csv(sink: Any, extract: Extract, delimiter: str) -> Any:
    from pyarrow import csv

    # No value holds a separator, so that files look like a hospital's: plain, without quotation marks.
    options = csv.WriteOptions(delimiter=delimiter, quoting_style="none", quoting_header="none", batch_size=16_384)
    return csv.CSVWriter(sink, _schema(extract), write_options=options)


@contextmanager
def _encoded(system: str, file: IO[bytes]) -> Iterator[IO[bytes]]:
    if system == "his":
        file.write(codecs.BOM_UTF8)
        yield file
    elif system == "lis":
        yield cast(IO[bytes], _Gb18030(file))
    else:
        # A fixed time stamp: the same day must give the same bytes.
        with gzip.GzipFile(filename="", mode="wb", fileobj=file, compresslevel=4, mtime=0) as packed:
            yield cast(IO[bytes], packed)


class _Gb18030(io.RawIOBase):
    """Recodes UTF-8 bytes as they come; a character may be split between two writes."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__()
        self._file = file
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        raw = bytes(data)
        self._file.write(self._decoder.decode(raw).encode("gb18030"))
        return len(raw)
