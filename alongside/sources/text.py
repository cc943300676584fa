"""Bytes of an extract as clean UTF-8: decompressed, decoded, its encoding questioned before it is believed."""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from pathlib import Path
from typing import BinaryIO, cast

from alongside.sources.config import SourceConfig

SAMPLE_BYTES = 1 << 20
#: What reading a damaged file raises, from the file system, gzip, zstd (through Arrow) and the decoders.
DAMAGE = (OSError, EOFError, zlib.error, UnicodeError)
_CODECS = {"utf-8": "utf-8-sig", "utf-8-sig": "utf-8-sig", "gb18030": "gb18030"}


class FileFault(Exception):
    """A file cannot be read as a whole. `what` and `remedy` are for a person and hold no patient values."""

    def __init__(self, what: str, remedy: str) -> None:
        self.what, self.remedy = what, remedy
        super().__init__(f"{what}; {remedy}")


def damaged(error: BaseException) -> FileFault:
    """The fault that a low-level error stands for."""
    if isinstance(error, EOFError):
        return FileFault("the compressed file is truncated", "resend it; the transfer ended too early")
    if isinstance(error, gzip.BadGzipFile | zlib.error):
        return FileFault("the file is not intact gzip", "resend it, or correct 'compression' in the source's YAML")
    if isinstance(error, OSError) and error.strerror:
        return FileFault(f"the file cannot be read: {error.strerror}", "check the file and its permissions")
    return FileFault("the file is damaged", "resend it")


class Utf8(io.RawIOBase):
    """A readable stream that gives `raw`, written in `encoding`, as UTF-8 without a byte order mark.

    What cannot be decoded becomes U+FFFD, so that the value it stands in can be found and refused.
    """

    def __init__(self, raw: BinaryIO, encoding: str) -> None:
        self._raw = raw
        self._decoder = codecs.getincrementaldecoder(_CODECS[encoding])(errors="replace")
        self._ready = memoryview(b"")
        self._ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        target = memoryview(cast(bytearray, buffer)).cast("B")
        while not self._ready and not self._ended:
            chunk = self._raw.read(SAMPLE_BYTES)
            self._ended = not chunk
            self._ready = memoryview(self._decoder.decode(chunk, final=self._ended).encode("utf-8", "replace"))
        size = min(len(target), len(self._ready))
        target[:size] = self._ready[:size]
        self._ready = self._ready[size:]
        return size

    def close(self) -> None:
        self._raw.close()
        super().close()


def open_bytes(path: Path, compression: str) -> BinaryIO:
    """The decompressed bytes of a file; `auto` goes by its suffix."""
    if compression == "auto":
        compression = {".gz": "gzip", ".zst": "zstd"}.get(path.suffix.lower(), "none")
    if compression == "gzip":
        return cast(BinaryIO, gzip.open(path, "rb"))
    if compression == "zstd":
        import pyarrow as pa

        return cast(BinaryIO, pa.input_stream(str(path), compression="zstd"))
    return path.open("rb")


def open_text(path: Path, source: SourceConfig) -> BinaryIO:
    """The file as a buffered stream of UTF-8."""
    return io.BufferedReader(Utf8(open_bytes(path, source.compression), source.encoding), SAMPLE_BYTES)


def sample(path: Path, source: SourceConfig) -> str:
    """The decoded beginning of a file; `FileFault` when it is empty or plainly written in another encoding."""
    try:
        with open_bytes(path, source.compression) as raw:
            head = raw.read(SAMPLE_BYTES)
    except DAMAGE as error:
        raise damaged(error) from error
    if not head.strip():
        raise FileFault("the file is empty, it has not even a header", "resend it with its header line")
    if b"\x00" in head[:4096] and not head.startswith(b"PAR1"):
        raise FileFault("the file holds NUL bytes, it is not text", "correct 'encoding' or 'compression'")
    _question(head, source.encoding)
    return head.decode(_CODECS[source.encoding], "replace")


def _question(head: bytes, encoding: str) -> None:
    """Refuse a sample that is broken in the configured encoding and whole in the other one."""
    other = "utf-8" if encoding == "gb18030" else "gb18030"
    if not _foreign(head, encoding, other):
        return
    raise FileFault(f"the file is not {encoding}, it reads as {other}", f"set 'encoding: {other}' in the source's YAML")


def _foreign(head: bytes, encoding: str, other: str) -> bool:
    if head.isascii() or not _whole(head, other):
        return False
    if encoding == "gb18030":
        # Two GB bytes can be one letter of UTF-8 (联通 is the famous case), three that make a Chinese one hardly.
        return any("\u4e00" <= character <= "\u9fff" for character in head.decode("utf-8-sig", "replace"))
    text = head.decode(_CODECS[encoding], "replace")
    broken = text.count("\ufffd")
    wide = len(text) - len(text.encode("ascii", "ignore"))
    return broken >= 3 and broken * 5 > wide  # a few bad bytes in good text are the affair of their rows


def _whole(head: bytes, encoding: str) -> bool:
    """The sample decodes without a fault; a character cut by its end is none."""
    decoder = codecs.getincrementaldecoder(_CODECS[encoding])("strict")
    try:
        decoder.decode(head, final=False)
    except UnicodeDecodeError:
        return False
    return True
