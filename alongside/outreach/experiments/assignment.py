"""Who gets which variant: a keyed hash of the person, which needs no memory, and the ledger's, which has the last word.

The salt of an experiment derives from the ledger's secret and the experiment's name and is written nowhere: nobody can
work out, or choose, an arm from outside. A changed share moves only people who have not been assigned yet.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from alongside.model.ids import keyed_hash
from alongside.outreach.experiments.definition import ExperimentDefinition

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

_CHUNK = 65_536


def experiment_salt(secret: bytes, experiment: str) -> bytes:
    """32 bytes that only this ledger's experiment of this name has."""
    return bytes.fromhex(keyed_hash(secret, "experiment", experiment, length=32))


def assign(
    secret: bytes, definition: ExperimentDefinition, person_ids: pa.Array | pa.ChunkedArray | Sequence[str]
) -> pa.Array:
    """The variant of each person, in their order, as an Arrow dictionary array.

    The first 64 bits of HMAC-SHA256(salt, person) fall into the variants' consecutive shares of 2^64. Depends on
    nothing but secret, experiment name, shares and person: not on order, date or who else is there.
    """
    import numpy as np
    import pyarrow as pa

    salt = experiment_salt(secret, definition.name)
    bounds = np.array(_bounds([variant.share for variant in definition.variants]), dtype=np.uint64)
    chosen = [np.searchsorted(bounds, _positions(salt, chunk), side="right") for chunk in _chunks(person_ids)]
    indices = np.concatenate([np.zeros(0, np.int8), *chosen]).astype(np.int8)
    names = [variant.name for variant in definition.variants]
    return pa.DictionaryArray.from_arrays(pa.array(indices), pa.array(names, pa.string()))


def assign_sticky(
    secret: bytes,
    definition: ExperimentDefinition,
    person_ids: pa.Array | pa.ChunkedArray,
    existing: pa.Table,
) -> pa.Table:
    """Like `assign`, but who has an arm keeps it.

    Parameters
    ----------
    existing : `person_id` and `variant` as `ledger.experiments.assignments` gives them (resolved to survivors)

    Returns
    -------
    `person_id, variant, is_new` in the order given. Who was assigned to a variant that the definition no longer has
    gets the control's message, and stays in their arm in the ledger.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    people = person_ids.combine_chunks() if isinstance(person_ids, pa.ChunkedArray) else person_ids
    place = pc.index_in(people, value_set=existing.column("person_id").combine_chunks())
    is_new = pc.is_null(place)
    kept = existing.column("variant").cast(pa.string()).combine_chunks().take(place)
    valid = pc.is_in(kept, value_set=pa.array(list(definition.shares), pa.string()))
    fresh = assign(secret, definition, people.filter(is_new)).cast(pa.string())
    variant = pc.replace_with_mask(pc.if_else(valid, kept, definition.control), is_new, fresh)
    return pa.table({"person_id": people, "variant": variant, "is_new": is_new})


def _bounds(shares: Sequence[float]) -> list[int]:
    """Where each variant but the last ends, of 2^64."""
    total, running, bounds = sum(shares), 0.0, []
    for share in shares[:-1]:
        running += share
        bounds.append(min(2**64 - 1, round(running / total * 2**64)))
    return bounds


def _chunks(person_ids: pa.Array | pa.ChunkedArray | Sequence[str]) -> Iterator[list[str]]:
    """Small lists of Python strings, whatever holds them: ten million at once would be a gigabyte."""
    for start in range(0, len(person_ids), _CHUNK):
        part = person_ids[start : start + _CHUNK]
        yield part.to_pylist() if hasattr(part, "to_pylist") else list(part)


def _positions(salt: bytes, people: list[str]) -> NDArray[np.uint64]:
    """Each person's place in [0, 2^64): `keyed_hash(salt, person, length=8)` as numbers.

    HMAC (RFC 2104) with the key's two blocks hashed once: twice as fast as `hmac.digest` for each of ten million.
    """
    import numpy as np

    block = salt.ljust(64, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block))
    outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in block))
    parts = []
    for person in people:
        raw = person.encode()
        first, second = inner.copy(), outer.copy()
        first.update(len(raw).to_bytes(4, "big") + raw)
        second.update(first.digest())
        parts.append(second.digest()[:8])
    return np.frombuffer(b"".join(parts), dtype=">u8").astype(np.uint64)
