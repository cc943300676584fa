"""What is really so: kept apart from the extracts, for measuring and for playing days. The product never reads it.

truth/hospital.json                   the parameters
truth/people/<date>.parquet           one row a person: ids in every system, address, number, true conditions
truth/records/<date>.parquet          one row a record of a system: (source, source_id, person)
truth/addresses/<date>.parquet        (email, index, rank): who reads an address; families share some
truth/open/<date>/<kind>.parquet      what was still to come when the extract of that date was taken, by day due
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from alongside.model.errors import DataInvalid
from alongside.sandbox.hospital.clinical import NAMES
from alongside.sandbox.hospital.contacts import Contacts, iso_date, moment_text, padded
from alongside.sandbox.hospital.dirt import Dirt
from alongside.sandbox.hospital.draws import Flags, Ints
from alongside.sandbox.hospital.hospital import Hospital
from alongside.sandbox.hospital.people import NEVER, People
from alongside.sandbox.hospital.records import Membership, identifier

OPEN_KINDS = ("appointments", "stays", "orders", "births", "deaths")


class Truth:
    """The folder of ground truth of one hospital."""

    def __init__(self, root: Path) -> None:
        self.root = root

    # ------------------------------------------------------------------------------------------- the parameters
    def save(self, hospital: Hospital) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        facts = {
            "patients": hospital.patients,
            "seed": hospital.seed,
            "start": hospital.start.isoformat(),
            "dirt": asdict(hospital.dirt),
        }
        (self.root / "hospital.json").write_text(json.dumps(facts, indent=2) + "\n", "utf-8")

    def hospital(self) -> Hospital:
        """The hospital that was generated here; DataInvalid where none was."""
        path = self.root / "hospital.json"
        try:
            facts = json.loads(path.read_text("utf-8"))
            start = date.fromisoformat(facts["start"])
            return Hospital(int(facts["patients"]), int(facts["seed"]), start, Dirt(**facts["dirt"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataInvalid(
                "there is no demo hospital here",
                where=str(path),
                remedy="Run `alongside hospital generate` first.",
            ) from error

    # ------------------------------------------------------------------------------------------------- the days
    def due(self, kind: str, before: date, condition: Any) -> pa.Table | None:
        """Open rows written by extracts older than `before` for which the condition holds; None where no file is."""
        limit = before.isoformat()
        folders = sorted(path for path in (self.root / "open").glob("*") if path.name < limit)
        files = [path / f"{kind}.parquet" for path in folders if (path / f"{kind}.parquet").is_file()]
        if not files:
            return None
        return ds.dataset([str(file) for file in files], format="parquet").to_table(filter=condition)

    def readers_of(self, emails: Iterable[str], before: date) -> dict[str, int]:
        """Person index of who is meant by each address: of a family, the one whom the hospital follows."""
        wanted = pa.array(sorted({email.strip().lower() for email in emails}), pa.string())
        limit = f"{before.isoformat()}.parquet"
        files = sorted(str(path) for path in (self.root / "addresses").glob("*.parquet") if path.name <= limit)
        found = ds.dataset(files, format="parquet").to_table(filter=pc.field("email").isin(wanted))
        found = found.sort_by([("email", "ascending"), ("rank", "descending"), ("index", "descending")])
        return dict(zip(found["email"].to_pylist(), found["index"].to_pylist(), strict=True))


class TruthWriter:
    """Writes the truth that one extract adds; tables may come in many parts."""

    def __init__(self, truth: Truth, day: date) -> None:
        self._root, self._day = truth.root, day.isoformat()
        self._stack = ExitStack()
        self._writers: dict[str, Any] = {}

    def __enter__(self) -> TruthWriter:
        # A day may be written again: nothing of an earlier try stays.
        for path in self._paths():
            path.unlink(missing_ok=True)
        return self

    def __exit__(self, *failure: object) -> None:
        self._stack.close()

    def _paths(self) -> list[Path]:
        files = [self._path(name) for name in ("people", "records", "addresses")]
        return files + [self._path(f"open/{kind}") for kind in OPEN_KINDS]

    def _path(self, name: str) -> Path:
        if name.startswith("open/"):
            return self._root / "open" / self._day / f"{name.removeprefix('open/')}.parquet"
        return self._root / name / f"{self._day}.parquet"

    def write(self, tables: Mapping[str, pa.Table]) -> None:
        for name, table in tables.items():
            if table.num_rows == 0:
                continue
            if name not in self._writers:
                path = self._path(name)
                path.parent.mkdir(parents=True, exist_ok=True)
                writer = pq.ParquetWriter(path, table.schema, compression="zstd")
                self._writers[name] = self._stack.enter_context(writer)
            self._writers[name].write_table(table.cast(self._writers[name].schema))


def sort_open(truth: Truth, day: date, spill: Path, memory_limit: str = "1GB") -> None:
    """Order the dump's open rows by the day they are due, so that a day reads only its own row groups."""
    from alongside.warehouse.duck import connect, quoted

    with connect(spill, memory_limit) as connection:
        connection.execute("SET preserve_insertion_order = true")
        for kind in OPEN_KINDS:
            path = truth.root / "open" / day.isoformat() / f"{kind}.parquet"
            if path.is_file():
                part = path.with_suffix(".part")
                connection.execute(
                    f"COPY (SELECT * FROM read_parquet({quoted(path)}) ORDER BY ALL) TO {quoted(part)} "
                    "(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 20480)"
                )
                part.replace(path)


# ----------------------------------------------------------------------------------------------------- the tables
def person_key(index: Ints) -> Any:
    return pc.binary_join_element_wise("T", padded(index, 9), "")


def people_truth(people: People, contacts: Contacts, member: Membership) -> dict[str, pa.Table]:
    """people, records and addresses of these people."""
    index, one = people.index, np.ones(len(people), dtype=np.bool_)
    known = {
        "his": (one, member.second_his),
        "lis": (member.lis, member.lis & member.second_his),
        "crm": (member.crm, member.crm & member.second_crm),
        "app_events": (member.app, np.zeros_like(one)),
    }
    table = pa.table(
        {
            "person": person_key(index),
            "index": index,
            "name": people.names.written(),
            "sex": pa.array(["female", "male"]).take(pa.array(people.male.astype(np.int64))),
            "birth_date": iso_date(people.birth),
            "language": pa.array(["zh_CN", "en"]).take(pa.array(people.foreign.astype(np.int64))),
            "deceased_at": moment_text(people.deceased),
            "email": contacts.email,
            "old_email": contacts.old_email,
            "phone": contacts.phone,
            "conditions": _lists(NAMES, people.onsets() < NEVER),
            **{f"{system}_ids": _ids(system, index, *twice) for system, twice in known.items()},
        }
    )
    records = [_records(system, index, flags, n) for system, twice in known.items() for n, flags in enumerate(twice)]
    return {"people": table, "records": pa.concat_tables(records), "addresses": _addresses(people, contacts)}


def _lists(words: tuple[str, ...], flags: Flags) -> Any:
    """Lists of words, one for each column of `flags` (words, people)."""
    _, number = np.nonzero(flags.T)
    offsets = np.concatenate([[0], np.cumsum(flags.sum(axis=0))]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(words).take(pa.array(number)))


def _ids(system: str, index: Ints, first: Flags, second: Flags) -> Any:
    flags = np.stack([first, second])
    who, order = np.nonzero(flags.T)
    offsets = np.concatenate([[0], np.cumsum(flags.sum(axis=0))]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), identifier(system, index[who], order))


def _records(system: str, index: Ints, flags: Flags, order: int) -> pa.Table:
    chosen = index[flags]
    source = pa.array([system], pa.string()).take(pa.array(np.zeros_like(chosen)))
    return pa.table({"source": source, "source_id": identifier(system, chosen, order), "person": person_key(chosen)})


def _addresses(people: People, contacts: Contacts) -> pa.Table:
    """A lower rank is meant first."""
    rank = np.where(people.chronic & (people.age >= 18), 0, np.where(people.age >= 18, 1, 2))
    both = pa.table(
        {
            "email": pa.concat_arrays([_flat(contacts.email), _flat(contacts.old_email)]),
            "index": np.concatenate([people.index, people.index]),
            "rank": np.concatenate([rank, rank]),
        }
    )
    return both.filter(pc.is_valid(both["email"]))


def _flat(text: Any) -> Any:
    return text.combine_chunks() if isinstance(text, pa.ChunkedArray) else text


# ------------------------------------------------------------------------------------------------------ open rows
def open_table(due: Ints, index: Ints, **columns: Any) -> pa.Table:
    """Rows to be taken up on day `due`."""
    return pa.table({"due": due, "index": index, **columns})


def day_condition(day: int) -> Any:
    return pc.field("due") == day
