"""The vault: who a pseudonymous person is, encrypted in the ledger under a key that never stands in it.

One 32-byte key per ledger, from the environment or from a key file outside the repository. From it HKDF derives one key
to seal (AES-256-GCM, the person_id as associated data, so that no blob can be moved to another person), one to hash
addresses for look-up, and one to prove that the key fits. Delivery workers import this module: it needs neither DuckDB
nor Arrow.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from pathlib import Path

import orjson
import sqlalchemy as sa
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from alongside.ledger import schema
from alongside.ledger.engine import Ledger
from alongside.ledger.groups import in_keys, portions, survivors
from alongside.model.errors import VaultUnavailable
from alongside.model.ids import KeyedHash, keyed_hash
from alongside.model.postal import postal_key
from alongside.settings.environment import Environment, decode_vault_key

KEY_VERSION = 1
_NONCE = 12
_REMEDY = (
    "Set ALONGSIDE_VAULT_KEY (or ALONGSIDE_VAULT_KEY_FILE) to the key this ledger was written with, "
    "or restore its key file."
)


@dataclass(frozen=True)
class Identity:
    """What is known of who a person is; null where nothing is. `repr` shows no value."""

    name: str | None = field(default=None, repr=False)
    email: str | None = field(default=None, repr=False)
    phone: str | None = field(default=None, repr=False)
    national_id: str | None = field(default=None, repr=False)
    mrn: str | None = field(default=None, repr=False)
    birth_date: str | None = field(default=None, repr=False)  # YYYY-MM-DD
    address_line: str | None = field(default=None, repr=False)
    gender: str | None = field(default=None, repr=False)
    postal: str | None = field(default=None, repr=False)  # `PostalAddress.kept` of where letters arrive
    openid: str | None = field(default=None, repr=False)
    device_token: str | None = field(default=None, repr=False)


@dataclass(slots=True)
class Contact:
    """What rendering and sending need. `repr` shows no value. Made once per message: a frozen class costs thrice."""

    name: str | None = field(default=None, repr=False)
    email: str | None = field(default=None, repr=False)
    phone: str | None = field(default=None, repr=False)
    gender: str | None = field(default=None, repr=False)
    openid: str | None = field(default=None, repr=False)
    device_token: str | None = field(default=None, repr=False)
    postal: str | None = field(default=None, repr=False)

    def address(self, kind: str) -> str:
        """The identifier of this kind (`Channel.address`); empty when none is known."""
        found: str | None = getattr(self, kind)
        return found or ""


#: Kinds of addresses that a channel may need (`Channel.address`).
ADDRESSES = ("email", "phone", "openid", "device_token", "postal")
#: Of an `Identity`, in their order.
FIELDS = tuple(entry.name for entry in fields(Identity))


class Vault:
    """Seals, opens and looks up. Get one with `Vault.open`."""

    def __init__(self, master: bytes, ledger_id: str) -> None:
        self._seals = {KEY_VERSION: AESGCM(_derive(master, ledger_id, f"seal v{KEY_VERSION}"))}
        #: key of the blind index: `keyed_hash(blind_key, kind, normalised value)`
        self.blind_key = _derive(master, ledger_id, "blind index")
        self._blinds = {kind: KeyedHash(self.blind_key, kind) for kind in ADDRESSES}
        self.check = keyed_hash(_derive(master, ledger_id, "check"), ledger_id)

    @classmethod
    def open(cls, ledger: Ledger, environment: Environment) -> Vault:
        """The ledger's vault. A ledger that has none yet gets one: set-up, done once.

        Raises
        ------
        VaultUnavailable : the key is missing, unreadable, or not the one this ledger was written with
        """
        ledger_id = ledger.info.ledger_id
        with ledger.begin() as connection:
            # locked: two processes that open a new ledger at once must not make two keys
            query = sa.select(schema.ledger_info.c.vault_check).with_for_update()
            known = connection.execute(query).scalar_one()
            master = environment.vault_key or _key_file(environment.vault_key_dir, ledger_id, create=known is None)
            vault = cls(master, ledger_id)
            if known is None:
                connection.execute(schema.ledger_info.update().values(vault_check=vault.check))
            else:
                vault._require(known, ledger_id, environment)
        return vault

    @classmethod
    def require_key(cls, environment: Environment, ledger_id: str, check: str) -> None:
        """Compare the key at hand with what a ledger, or a backup of it, says of its own.

        Raises
        ------
        VaultUnavailable : the key is missing, unreadable, or another one
        """
        master = environment.vault_key or _key_file(environment.vault_key_dir, ledger_id, create=False)
        cls(master, ledger_id)._require(check, ledger_id, environment)

    def _require(self, check: str, ledger_id: str, environment: Environment) -> None:
        if self.check != check:
            where = "ALONGSIDE_VAULT_KEY" if environment.vault_key else str(environment.vault_key_dir)
            raise VaultUnavailable(f"the vault key is not the one of ledger {ledger_id}", where=where, remedy=_REMEDY)

    # ---------------------------------------------------------------------------------------------------- one person
    def blind_index(self, kind: str, value: str) -> str:
        """Keyed hash of a normalised value, 32 hex digits: equal values of a kind can be found, none can be read."""
        if kind == "postal":  # whose spellings differ more than those of a number
            value = postal_key(value)
        prepared = self._blinds.get(kind)
        return prepared(value) if prepared else keyed_hash(self.blind_key, kind, value)

    def blind_indexes(self, kind: str, values: Sequence[str]) -> list[str]:
        """`blind_index` of many values of a kind, in their order."""
        prepared = self._blinds.get(kind)
        if prepared is None or kind == "postal":
            return [self.blind_index(kind, value) for value in values]
        return prepared.of_all(values)

    def seal(self, person_id: str, identity: Identity) -> bytes:
        """Key version (1 byte), nonce (12 bytes), ciphertext and tag."""
        nonce = os.urandom(_NONCE)
        plain = orjson.dumps({name: value for name, value in asdict(identity).items() if value is not None})
        return bytes([KEY_VERSION]) + nonce + self._seals[KEY_VERSION].encrypt(nonce, plain, person_id.encode())

    def unseal(self, person_id: str, sealed: bytes) -> Identity:
        """The identity within a blob that was sealed for this person."""
        values = self._opened(person_id, sealed)
        return Identity(**{name: values.get(name) for name in FIELDS})

    def unseal_contact(self, person_id: str, sealed: bytes) -> Contact:
        """Of the same, only what rendering and sending need: one of these is made for every message."""
        known = self._opened(person_id, sealed).get
        return Contact(
            known("name"),
            known("email"),
            known("phone"),
            known("gender"),
            known("openid"),
            known("device_token"),
            known("postal"),
        )

    def seal_words(self, place: str, words: str) -> bytes:
        """What somebody wrote, sealed for one place (the id of the row that holds it)."""
        nonce = os.urandom(_NONCE)
        sealed = self._seals[KEY_VERSION].encrypt(nonce, orjson.dumps({"words": words}), f"words:{place}".encode())
        return bytes([KEY_VERSION]) + nonce + sealed

    def unseal_words(self, place: str, sealed: bytes) -> str:
        """The words within a blob that was sealed for this place."""
        return self._opened(f"words:{place}", sealed)["words"]

    def _opened(self, person_id: str, sealed: bytes) -> dict[str, str]:
        cipher = self._seals.get(sealed[0]) if sealed else None
        if cipher is None:
            raise VaultUnavailable(
                "the vault holds a record of an unknown key version", where=person_id, remedy="Upgrade Alongside."
            )
        try:
            plain = cipher.decrypt(sealed[1 : 1 + _NONCE], sealed[1 + _NONCE :], person_id.encode())
        except InvalidTag as error:
            raise VaultUnavailable(
                "a record of the vault does not open: it was altered, or belongs to another person",
                where=person_id,
                remedy="Restore vault_person from a backup, or clear the person's aliases to seal it again.",
            ) from error
        values: dict[str, str] = orjson.loads(plain)
        return values

    # --------------------------------------------------------------------------------------------------- many people
    def store(self, connection: Connection, identities: Mapping[str, Identity], now: datetime) -> None:
        """Seal and write (or replace) these people's identities."""
        for portion in portions(identities.items()):
            rows = [
                {"person_id": person_id, "sealed": self.seal(person_id, identity), "updated_at": now}
                for person_id, identity in portion
            ]
            connection.execute(_upsert(connection), rows)

    def open_many(self, connection: Connection, person_ids: Collection[str]) -> dict[str, Identity]:
        """Identities by the id that was asked for; merged people answer with their survivor's. Unknown ones lack."""
        living = survivors(connection, person_ids)
        table, found = schema.vault_person, {}
        for portion in portions(sorted(set(living.values()))):
            query = sa.select(table.c.person_id, table.c.sealed).where(in_keys(connection, table.c.person_id, portion))
            for row in connection.execute(query):
                found[row.person_id] = self.unseal(row.person_id, bytes(row.sealed))
        return {asked: found[person_id] for asked, person_id in living.items() if person_id in found}

    def address_book(self, connection: Connection, person_ids: Collection[str]) -> dict[str, Contact]:
        """Names and addresses for rendering and sending, by the person_id that was asked for."""
        return {
            person_id: Contact(
                entry.name,
                entry.email,
                entry.phone,
                entry.gender,
                entry.openid,
                entry.device_token,
                entry.postal,
            )
            for person_id, entry in self.open_many(connection, person_ids).items()
        }

    def forget_entries(self, connection: Connection, person_ids: Collection[str]) -> None:
        """Delete every look-up entry of these people, before new ones are written in bulk."""
        _forget(connection, schema.vault_index, person_ids)

    def find(self, connection: Connection, kind: str, value: str) -> list[str]:
        """Living people known by this normalised value, in order of their ids."""
        table = schema.vault_index
        query = sa.select(table.c.person_id).where(table.c.kind == kind, table.c.blind == self.blind_index(kind, value))
        found = [row.person_id for row in connection.execute(query)]
        return sorted(set(survivors(connection, found).values()))

    def forget(self, connection: Connection, person_ids: Collection[str]) -> None:
        """Delete what the vault knows of these people: no one can name them any more."""
        _forget(connection, schema.vault_person, person_ids)
        _forget(connection, schema.vault_index, person_ids)


def _derive(master: bytes, ledger_id: str, use: str) -> bytes:
    kdf = HKDF(algorithm=SHA256(), length=32, salt=ledger_id.encode(), info=f"alongside {use}".encode())
    return kdf.derive(master)


def _key_file(folder: Path, ledger_id: str, *, create: bool) -> bytes:
    path = folder / f"{ledger_id}.key"
    try:
        return decode_vault_key(path.read_text("ascii"), str(path))
    except FileNotFoundError as error:
        if not create:
            raise VaultUnavailable("the vault key is missing", where=str(path), remedy=_REMEDY) from error
    except (OSError, UnicodeDecodeError) as error:
        raise VaultUnavailable(f"the vault key cannot be read: {error}", where=str(path), remedy=_REMEDY) from error
    key = os.urandom(32)
    try:
        _write_key(path, key)
    except OSError as error:
        raise VaultUnavailable(
            f"the vault key cannot be written: {error.strerror}",
            where=str(path),
            remedy="Make the folder writable, or set ALONGSIDE_KEY_DIR or ALONGSIDE_VAULT_KEY.",
        ) from error
    return key


def _write_key(path: Path, key: bytes) -> None:
    """Durable before the ledger says that it is needed: a key lost in a crash would lose every name."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(handle, base64.b64encode(key) + b"\n")
        os.fsync(handle)
    finally:
        os.close(handle)


def _upsert(connection: Connection) -> sa.Insert:
    table = schema.vault_person
    insert = sqlite.insert(table) if connection.dialect.name == "sqlite" else postgresql.insert(table)
    fresh = {"sealed": insert.excluded.sealed, "updated_at": insert.excluded.updated_at}
    return insert.on_conflict_do_update(index_elements=["person_id"], set_=fresh)


def _forget(connection: Connection, table: sa.Table, person_ids: Collection[str]) -> None:
    for portion in portions(sorted(person_ids)):
        connection.execute(table.delete().where(table.c.person_id.in_(portion)))
