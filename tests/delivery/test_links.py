"""What is prepared for a whole batch says the same as what is worked out for one message."""

from __future__ import annotations

import hmac

from hypothesis import given
from hypothesis import strategies as st

from alongside.model.ids import KeyedHash, PreparedHmac, keyed_hash
from alongside.model.tokens import TokenSigner, read_token, sign_token

SECRETS = st.binary(min_size=1, max_size=200)  # RFC 2104 hashes keys of more than 64 bytes first


@given(key=SECRETS, begin=st.binary(max_size=100), messages=st.lists(st.binary(max_size=100), max_size=3))
def test_a_prepared_key_gives_the_same_hash(key: bytes, begin: bytes, messages: list[bytes]) -> None:
    prepared = PreparedHmac(key, begin)
    expected = [hmac.digest(key, begin + message, "sha256") for message in messages]
    assert [prepared.digest(message) for message in messages] == expected
    assert prepared.digests(messages) == expected


@given(secret=SECRETS, parts=st.lists(st.text(max_size=20), max_size=3), last=st.lists(st.text(max_size=40)))
def test_a_prepared_blind_index_finds_the_same_address(secret: bytes, parts: list[str], last: list[str]) -> None:
    expected = [keyed_hash(secret, *parts, one) for one in last]
    prepared = KeyedHash(secret, *parts)
    assert [prepared(one) for one in last] == prepared.of_all(last) == expected


@given(secret=SECRETS, keys=st.lists(st.binary(min_size=16, max_size=16).map(bytes.hex), max_size=3))
def test_prepared_signatures_are_read_like_any_others(secret: bytes, keys: list[str]) -> None:
    tokens = TokenSigner(secret, "unsubscribe")(keys)
    assert tokens == [sign_token(secret, "unsubscribe", key) for key in keys]
    assert [read_token(secret, "unsubscribe", token) for token in tokens] == keys
    assert {read_token(secret, "preferences", token) for token in tokens} <= {None}


@given(secret=SECRETS, key=st.binary(min_size=16, max_size=16), last=st.characters(codec="ascii"))
def test_a_link_has_one_spelling(secret: bytes, key: bytes, last: str) -> None:
    token = sign_token(secret, "unsubscribe", key.hex())
    altered = token[:-1] + last
    assert read_token(secret, "unsubscribe", altered) == (key.hex() if altered == token else None)
