"""The letters of a day on paper: looked at once more, put into stacks, written as PDF with an address sheet.

A stack keeps its letters and their order for good, and its file appears under its name when it is whole and on disk;
only then does the ledger say that it was printed. Killed anywhere in between, the same command writes the same files.
"""

from __future__ import annotations

import hashlib
import multiprocessing
from collections import deque
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import groupby
from pathlib import Path

from alongside.delivery.address_sheet import SheetRow, sheet_csv, sheet_html
from alongside.delivery.last_look import LastLook
from alongside.delivery.paper import print_letters, require_printer
from alongside.delivery.posting import Withheld, look_again
from alongside.delivery.private_files import write_private
from alongside.ledger import Ledger, letter_list
from alongside.ledger.failpoints import failpoint
from alongside.ledger.letter_list import PrintedLetter, Words
from alongside.ledger.runs import write_audit
from alongside.ledger.vault import Vault
from alongside.model.enums import Channel, LetterStatus, Locale
from alongside.model.errors import Refused
from alongside.settings import HospitalSettings
from alongside.settings.channels import LetterChannel


@dataclass(frozen=True)
class Stack:
    """One printed stack.

    Attributes
    ----------
    number : within its day, from 1
    again : letters of it that had been printed before, or by somebody else meanwhile
    unprintable : numbers of letters that hold a character which no font of this machine has; they stay listed
    """

    day: date
    number: int
    letters: int
    pages: int
    again: int
    unprintable: tuple[str, ...]
    files: tuple[Path, ...]


@dataclass(frozen=True)
class PrintReport:
    """What was printed, and what was not.

    Attributes
    ----------
    printed_before : letters of the day that lie on paper already and were left alone
    """

    day: date
    stacks: tuple[Stack, ...]
    withheld: Withheld
    printed_before: int


@dataclass(frozen=True)
class PrintRoom:
    """What printing needs, and who prints."""

    ledger: Ledger
    vault: Vault
    settings: HospitalSettings
    out: Path
    by: str
    look: LastLook

    def print_day(self, day: date, *, again: bool, now: datetime) -> PrintReport:
        """Print what was never printed; with `again` also what was, as long as it was not posted.

        Raises
        ------
        Refused : letters are not set up or paused, the day has none, or this machine cannot lay out text
        """
        require_printer()
        with self.ledger.reading() as connection:
            letters = letter_list.of_day(connection, day)
        if not letters:
            remedy = "'alongside letters list' shows the days that have some."
            raise Refused(f"there are no letters of {day}", where="letters print", remedy=remedy)
        wanted = [one for one in letters if one.status in (_AGAIN if again else _FRESH)]
        before = sum(one.status is LetterStatus.PRINTED for one in letters) if not again else 0
        return self._print(day, wanted, before, now)

    def print_some(self, numbers: Sequence[str], now: datetime) -> list[PrintReport]:
        """Print single letters, for what the printer has spoilt; files are named by their stack."""
        require_printer()
        with self.ledger.reading() as connection:
            found = [letter_list.find(connection, number) for number in numbers]
        for one in found:
            if one.status not in _AGAIN:
                raise Refused(f"letter {one.number} is {one.status}", where="letters print", remedy="Leave it out.")
        found.sort(key=lambda one: (one.day, one.number))
        return [self._print(day, list(some), 0, now) for day, some in groupby(found, key=lambda one: one.day)]

    # ---------------------------------------------------------------------------------------------------------- stacks
    def _print(self, day: date, wanted: Sequence[PrintedLetter], before: int, now: datetime) -> PrintReport:
        with self.ledger.begin() as connection:
            withheld = look_again(connection, wanted, self.look, now)
            chosen = {one.letter_id for one in wanted} - withheld.keys
            fresh = [one.letter_id for one in wanted if one.stack is None and one.letter_id in chosen]
            letter_list.arrange(connection, day, fresh, self._rules.stack_size, now)
            standing = [one for one in letter_list.of_day(connection, day) if one.status in _AGAIN]
        failpoint("letters.arranged")
        self.out.mkdir(parents=True, exist_ok=True, mode=0o700)
        stacks = [list(some) for _, some in groupby(standing, key=lambda one: one.stack)]
        parts = [part for stack in stacks if (part := _Part.of(stack, chosen)).letters]
        return PrintReport(
            day, tuple(self._keep(part, made, now) for part, made in self._made(parts)), withheld, before
        )

    def _made(self, parts: Sequence[_Part]) -> Iterator[tuple[_Part, _Made]]:
        """The stacks one after another, made by several processes; as many are in memory as there are processes."""
        workers = min(self.settings.delivery.workers, len(parts))
        if workers <= 1:
            yield from ((part, _make(self._job(part))) for part in parts)
            return
        context = multiprocessing.get_context("spawn")  # a fork would take locks and connections along
        with ProcessPoolExecutor(workers, mp_context=context) as pool:
            waiting: deque[tuple[_Part, Future[_Made]]] = deque()
            for part in parts:
                if len(waiting) > workers:
                    done, made = waiting.popleft()
                    yield done, made.result()
                waiting.append((part, pool.submit(_make, self._job(part))))
            for done, made in waiting:
                yield done, made.result()

    def _job(self, part: _Part) -> _Job:
        with self.ledger.reading() as connection:
            words = letter_list.words_of(connection, self.vault, [one.letter_id for one in part.letters])
        hospital, locale = self.settings.hospital, self.settings.hospital.default_locale
        return _Job(
            part.title,
            tuple(words[one.letter_id] for one in part.letters),
            tuple(one.number for one in part.letters),
            self._rules.duplex,
            hospital.name[locale],
            locale,
        )

    def _keep(self, part: _Part, made: _Made, now: datetime) -> Stack:
        """Write the stack's files, then say in the ledger that it was printed."""
        printed = [one for place, one in enumerate(part.letters) if place not in made.missing]
        name = _Part(printed, part.whole and not made.missing).file if printed else ""
        files = {self.out / f"{kind}-{name}{ending}": content for (kind, ending), content in made.files.items()}
        for path, content in files.items():
            write_private(path, content)
        failpoint("letters.written")
        with self.ledger.begin() as connection:
            pages = {one.letter_id: count for one, count in zip(printed, made.pages, strict=True)}
            again = letter_list.mark_printed(connection, pages, now)
            details = {"letters": len(printed), "again": again, "pages": sum(made.pages)}
            write_audit(connection, now, self.by, "letters.print", part.title, details)
        return Stack(
            day=part.letters[0].day,
            number=part.letters[0].stack or 0,
            letters=len(printed),
            pages=sum(made.pages),
            again=again,
            unprintable=tuple(part.letters[place].number for place in made.missing),
            files=tuple(files),
        )

    @property
    def _rules(self) -> LetterChannel:
        found = self.settings.channels.of(Channel.LETTER)
        assert isinstance(found, LetterChannel)  # noqa: S101 - the field's type
        return found


_FRESH = (LetterStatus.LISTED,)
_AGAIN = (LetterStatus.LISTED, LetterStatus.PRINTED)


@dataclass(frozen=True)
class _Part:
    """Letters of one stack that are printed together; `whole`: all of it that was not posted or withheld."""

    letters: list[PrintedLetter]
    whole: bool

    @classmethod
    def of(cls, stack: list[PrintedLetter], chosen: AbstractSet[str]) -> _Part:
        letters = [one for one in stack if one.letter_id in chosen]
        return cls(letters, len(letters) == len(stack))

    @property
    def title(self) -> str:
        return f"{self.letters[0].day}/{self.letters[0].stack}"

    @property
    def file(self) -> str:
        """The stack's own name; of some of its letters another one, which leaves the stack's file alone."""
        name = self.title.replace("/", "-")
        if self.whole:
            return name
        digest = hashlib.sha256("".join(one.letter_id for one in self.letters).encode()).hexdigest()
        return f"{name}-some-{digest[:6]}"


# ---------------------------------------------------------------------------------------------- in a process of its own
@dataclass(frozen=True)
class _Job:
    """A stack to be made: its letters with their numbers, in order."""

    title: str
    letters: tuple[Words, ...]
    numbers: tuple[str, ...]
    duplex: bool
    hospital: str
    locale: Locale


@dataclass(frozen=True)
class _Made:
    """A stack's files, by kind and ending; pages of each printed letter; places of those with unknown characters."""

    files: dict[tuple[str, str], bytes] = field(repr=False)
    pages: tuple[int, ...]
    missing: tuple[int, ...]


def _make(job: _Job) -> _Made:
    """Letters with a character that no font has are left out."""
    title, places = f"Letters {job.title}", range(len(job.letters))
    paper = print_letters([one.html for one in job.letters], title=title, duplex=job.duplex)
    if missing := tuple(sorted(paper.missing)):
        places_left = [place for place in places if place not in paper.missing]
        if not places_left:
            return _Made({}, (), missing)
        paper = print_letters([job.letters[place].html for place in places_left], title=title, duplex=job.duplex)
    else:
        places_left = list(places)
    rows = [
        SheetRow(job.numbers[place], job.letters[place].lines, pages)
        for place, pages in zip(places_left, paper.pages, strict=True)
    ]
    sheet = print_letters([sheet_html(rows, job.title, job.hospital, job.locale)], title=f"Addresses {job.title}")
    files = {("letters", ".pdf"): paper.pdf, ("addresses", ".csv"): sheet_csv(rows), ("addresses", ".pdf"): sheet.pdf}
    return _Made(files, paper.pages, missing)
