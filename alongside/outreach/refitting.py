"""Who could be reached on another channel, because their text does not fit the one that was chosen for them.

Some providers take values of a certain length only (WeChat, Aliyun, FCM), which is known when a patient's text is
rendered: after the channel was chosen. The channel is then closed for this patient, and the next open one of their own
order is chosen by the same gates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from alongside.model.enums import Gate
from alongside.outreach.deciding import Deciding
from alongside.outreach.gates import ONE_PER_ADDRESS, GateInput, close_gates
from alongside.outreach.relations import count
from alongside.settings import HospitalSettings

if TYPE_CHECKING:
    import duckdb

#: What rendering says of one channel alone. An inadmissible claim stands in the message: it goes nowhere.
_OF_CHANNEL = Gate.RENDER_FAILED | Gate.NOT_CARRIED


@dataclass(frozen=True)
class Refitting:
    """Chooses again, in one DuckDB connection, after `Deciding` has run; adds rows to `unfit` (see gates.sql)."""

    duck: duckdb.DuckDBPyConnection
    deciding: Deciding
    wanted: GateInput
    settings: HospitalSettings

    def run(self) -> None:
        """Rows of `candidate` and `decided` on another channel, where one is open. Each round closes a channel."""
        while self._close_channels():
            if not self._choose_again():
                return
            self.deciding.decide("c.person_id IN (SELECT person_id FROM moved)")

    def _close_channels(self) -> int:
        """Temp table `misfit` of those whose text does not fit while another channel is open; returns how many."""
        self.duck.execute(
            f"""CREATE OR REPLACE TEMP TABLE misfit AS
            SELECT c.person_id, c.recipient_id, c.channel, d.late AS gate
            FROM candidate AS c JOIN decided AS d USING (person_id)
            WHERE c.gates = 0 AND d.late <> 0 AND (d.late & ~{int(_OF_CHANNEL)}) = 0
              AND len(list_filter(c.routes, lambda r: r.gates = 0)) > 1"""
        )
        self.duck.execute("INSERT INTO unfit SELECT * FROM misfit")
        return count(self.duck, "misfit")

    def _choose_again(self) -> int:
        """The gates once more, for the misfits alone; returns how many found another channel."""
        self.duck.execute("ALTER TABLE audience RENAME TO everybody")
        self.duck.execute("ALTER TABLE candidate RENAME TO before")
        self.duck.execute("CREATE TEMP TABLE audience AS SELECT DISTINCT person_id FROM misfit")
        close_gates(self.duck, self.wanted, self.settings)
        taken = "TRUE" if self.wanted.purpose in ONE_PER_ADDRESS else "FALSE"
        self.duck.execute(
            f"""CREATE OR REPLACE TEMP TABLE moved AS
            SELECT * FROM candidate AS c
            WHERE c.gates = 0 AND NOT ({taken} AND EXISTS (
                FROM before AS b WHERE b.gates = 0 AND b.person_id <> c.person_id
                  AND b.channel = c.channel AND b.address_blind = c.address_blind))"""
        )
        self.duck.execute("DROP TABLE audience")
        self.duck.execute("DROP TABLE candidate")
        self.duck.execute("ALTER TABLE everybody RENAME TO audience")
        self.duck.execute("ALTER TABLE before RENAME TO candidate")
        for table in ("candidate", "decided"):
            self.duck.execute(f"DELETE FROM {table} WHERE person_id IN (SELECT person_id FROM moved)")
        self.duck.execute("INSERT INTO candidate SELECT * FROM moved")
        return count(self.duck, "moved")
