"""`model.ids.keyed_hash` as DuckDB macros: the same digests, a million rows at a time (1.5 us each)."""

from __future__ import annotations

import duckdb

_BLOCK = 64  # bytes of SHA-256's input block (RFC 2104)


def install_parts(duck: duckdb.DuckDBPyConnection) -> None:
    """`hash_part(text)`: one length-prefixed part of a message; parts are joined with `||`."""
    duck.execute(
        "CREATE OR REPLACE TEMP MACRO hash_part(value) AS "
        "unhex(printf('%08x', octet_length(encode(value)))) || encode(value)"
    )


def install(duck: duckdb.DuckDBPyConnection, name: str, secret: bytes) -> None:
    """`<name>(message, digits)`: HMAC-SHA256 of the joined parts as that many hex digits.

    `keyed_hash(secret, 'a', 'b')` is `<name>(hash_part('a') || hash_part('b'), 32)`.
    """
    if len(secret) > _BLOCK:
        raise ValueError(f"keys longer than {_BLOCK} bytes are not used here")
    padded = secret.ljust(_BLOCK, b"\0")
    inner, outer = (bytes(byte ^ mask for byte in padded).hex() for mask in (0x36, 0x5C))
    duck.execute(
        f"CREATE OR REPLACE TEMP MACRO {name}(message, digits) AS "
        f"left(sha256(unhex('{outer}') || unhex(sha256(unhex('{inner}') || message))), digits)"
    )
