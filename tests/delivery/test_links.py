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
    for message in messages:
        assert prepared.digest(message) == hmac.digest(key, begin + message, "sha256")


@given(secret=SECRETS, parts=st.lists(st.text(max_size=20), max_size=3), last=st.text(max_size=40))
def test_a_prepared_blind_index_finds_the_same_address(secret: bytes, parts: list[str], last: str) -> None:
    assert KeyedHash(secret, *parts)(last) == keyed_hash(secret, *parts, last)


@given(secret=SECRETS, key=st.binary(min_size=16, max_size=16))
def test_a_prepared_signature_is_read_like_any_other(secret: bytes, key: bytes) -> None:
    token = TokenSigner(secret, "unsubscribe")(key.hex())
    assert token == sign_token(secret, "unsubscribe", key.hex())
    assert read_token(secret, "unsubscribe", token) == key.hex()
    assert read_token(secret, "preferences", token) is None


@given(secret=SECRETS, key=st.binary(min_size=16, max_size=16), last=st.characters(codec="ascii"))
def test_a_link_has_one_spelling(secret: bytes, key: bytes, last: str) -> None:
    token = sign_token(secret, "unsubscribe", key.hex())
    altered = token[:-1] + last
    assert read_token(secret, "unsubscribe", altered) == (key.hex() if altered == token else None)
