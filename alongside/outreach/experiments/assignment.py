"""Who gets which variant: a keyed hash of the person, which needs no memory, and the ledger's, which has the last word.

The salt of an experiment derives from the ledger's secret and the experiment's name and is written nowhere: nobody can
work out, or choose, an arm from outside. A changed share moves only people who have not been assigned yet. Where
households or clinics are assigned, theirs is the hash, and a newcomer joins the arm that the others have.

A layer has a salt of its own, so that somebody's place in it says nothing about their arm in any of its experiments.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from alongside.model.ids import keyed_hash
from alongside.outreach.experiments.definition import ExperimentDefinition, Layer

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

_CHUNK = 65_536


def experiment_salt(secret: bytes, experiment: str) -> bytes:
    """32 bytes that only this ledger's experiment of this name has."""
    return bytes.fromhex(keyed_hash(secret, "experiment", experiment, length=32))


def layer_salt(secret: bytes, layer: str) -> bytes:
    """32 bytes that only this ledger's layer of this name has."""
    return bytes.fromhex(keyed_hash(secret, "layer", layer, length=32))


def in_slice(secret: bytes, layer: Layer, person_ids: pa.Array | pa.ChunkedArray | Sequence[str]) -> pa.Array:
    """Whether each person's place in the layer, a keyed hash of the person, lies in the slice; slices that meet at a
    number share nobody."""
    import numpy as np
    import pyarrow as pa

    salt, first, last = layer_salt(secret, layer.name), round(layer.first * 2**64), round(layer.last * 2**64)
    inside = [np.zeros(0, np.bool_)]
    for chunk in _chunks(person_ids):
        places = _positions(salt, chunk)
        inside.append((places >= np.uint64(first)) & (places <= np.uint64(last - 1)))  # 2**64 itself is no uint64
    return pa.array(np.concatenate(inside))


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


def cluster_id(secret: bytes, experiment: str, unit: str) -> str:
    """16 hex digits that stand for a household or clinic in this experiment, and in no other."""
    return keyed_hash(experiment_salt(secret, experiment), "cluster", unit, length=8)


@dataclass(frozen=True)
class Enrolment:
    """What decides, beside the hash, who gets which arm.

    Attributes
    ----------
    existing : `person_id` and `variant` as `ledger.experiments.assignments` gives them (resolved to survivors)
    taken : people, or households, whom other experiments of the layer have, also from before a slice was moved
    settled : `unit`, `variant` and `cluster_id` of households or clinics of which somebody has an arm already
    """

    existing: pa.Table
    taken: pa.Array | None = None
    settled: pa.Table | None = None


def assign_sticky(
    secret: bytes,
    definition: ExperimentDefinition,
    person_ids: pa.Array | pa.ChunkedArray,
    enrolment: Enrolment,
    units: pa.Array | pa.ChunkedArray | None = None,
) -> pa.Table:
    """Like `assign`, but who has an arm keeps it, and who is not the experiment's own is left out.

    Parameters
    ----------
    units : of each person, their household or clinic, null without one; not given where people are assigned

    Returns
    -------
    `person_id, variant, is_new, cluster_id` in the order given; `variant` is null for people outside the experiment,
    `cluster_id` for those who are not new and where people are assigned. Who was assigned to a variant that the
    definition no longer has gets the control's message, and stays in their arm in the ledger.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    people = _whole(person_ids)
    own = people if units is None else _whole(units)
    kept, has_arm = _kept(definition, people, enrolment.existing.column("person_id"), enrolment.existing)
    shared, is_settled = pa.nulls(len(people), pa.string()), pa.array([False] * len(people))
    if enrolment.settled is not None:
        shared, is_settled = _kept(definition, own, enrolment.settled.column("unit"), enrolment.settled)
    fresh = pc.and_(pc.invert(pc.or_(has_arm, is_settled)), pc.is_valid(own))
    if definition.layer is not None:
        fresh = pc.and_(fresh, in_slice(secret, definition.layer, pc.fill_null(own, "")))
    if enrolment.taken is not None:
        fresh = pc.and_not(fresh, pc.or_(*(pc.is_in(ids, value_set=enrolment.taken) for ids in (people, own))))
    drawn = assign(secret, definition, own.filter(fresh)).cast(pa.string())
    variant = pc.replace_with_mask(pc.if_else(has_arm, kept, shared), fresh, drawn)
    is_new = pc.and_(pc.invert(has_arm), pc.is_valid(variant))
    clusters = pa.nulls(len(people), pa.string())
    if units is not None:
        clusters = _clusters(secret, definition, own, fresh, enrolment.settled)
    return pa.table({"person_id": people, "variant": variant, "is_new": is_new, "cluster_id": clusters})


def _whole(ids: pa.Array | pa.ChunkedArray) -> pa.Array:
    import pyarrow as pa

    return ids.combine_chunks() if isinstance(ids, pa.ChunkedArray) else ids


def _kept(
    definition: ExperimentDefinition, ids: pa.Array, known: pa.ChunkedArray, arms: pa.Table
) -> tuple[pa.Array, pa.Array]:
    """The variant that each id has already (null without one), and whether there is one."""
    import pyarrow as pa
    import pyarrow.compute as pc

    place = pc.index_in(ids, value_set=_whole(known))
    variant = _whole(arms.column("variant").cast(pa.string())).take(place)
    valid = pc.is_in(variant, value_set=pa.array(list(definition.shares), pa.string()))
    return pc.if_else(pc.is_valid(place), pc.if_else(valid, variant, definition.control), None), pc.is_valid(place)


def _clusters(
    secret: bytes, definition: ExperimentDefinition, units: pa.Array, fresh: pa.Array, settled: pa.Table | None
) -> pa.Array:
    """The pseudonym of each unit: the one that its first member was given, else the unit's own; null outside."""
    import pyarrow as pa
    import pyarrow.compute as pc

    known = pa.nulls(len(units), pa.string())
    if settled is not None:
        place = pc.index_in(units, value_set=_whole(settled.column("unit")))
        known = _whole(settled.column("cluster_id").cast(pa.string())).take(place)
    coded = units.filter(fresh).dictionary_encode()
    named = pa.array([cluster_id(secret, definition.name, unit) for unit in coded.dictionary.to_pylist()], pa.string())
    return pc.replace_with_mask(known, fresh, named.take(coded.indices))


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
