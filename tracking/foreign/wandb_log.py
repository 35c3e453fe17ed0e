"""Records of a W&B transaction log (`run-<id>.wandb`), read without the SDK: LevelDB's log format around protobuf messages.

Framing: https://github.com/google/leveldb/blob/main/doc/log_format.md, after seven bytes of W&B's own. Fields by their numbers in
`wandb/proto/wandb_internal.proto` (0.31). A record whose checksum is wrong, or that was cut short, ends the reading, as the SDK's
own reader does; what is before it counts.
"""

import json
import struct
import zlib
from collections.abc import Iterator
from typing import Any

MAGIC = b":W&B\xe1\xbe\x00"
BLOCK, HEADER = 32768, 7
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4
RECORDS = {2: "history", 3: "summary", 5: "config", 17: "run", 26: "environment"}
ITEMS, KEY, NESTED_KEY, VALUE = 1, 1, 2, 16
Fields = list[tuple[int, bytes]]


def records(content: bytes) -> Iterator[tuple[str, Fields]]:
    """The kind and fields of each record of a known kind.

    Raises:
        ValueError: this is no log of W&B.
    """
    if not content.startswith(MAGIC):
        raise ValueError("it does not begin as a log of W&B does")
    for message in _messages(content):
        for number, value in fields(message):
            if number in RECORDS:
                yield RECORDS[number], fields(value)


def items(record: Fields) -> Iterator[tuple[str, Any]]:
    """Keys, those of nested values with dots, and values of a config, summary or history record."""
    for number, item in record:
        if number == ITEMS:
            found = fields(item)
            nested = [value.decode() for field, value in found if field == NESTED_KEY]
            key = ".".join(nested) or next((value.decode() for field, value in found if field == KEY), "")
            yield key, json.loads(next((value for field, value in found if field == VALUE), b"null"))


def text(record: Fields, number: int) -> str:
    """A field of text; empty where it is not there."""
    return next((value.decode(errors="replace") for field, value in record if field == number), "")


def _messages(content: bytes) -> Iterator[bytes]:
    at, parts = len(MAGIC), b""
    while at + HEADER <= len(content):
        if (left := BLOCK - at % BLOCK) < HEADER:
            at += left
            continue
        checksum, length, kind = struct.unpack_from("<IHB", content, at)
        body = content[at + HEADER : at + HEADER + length]
        if len(body) < length or kind not in (FULL, FIRST, MIDDLE, LAST) or _checksum(kind, body) != checksum:
            return
        at += HEADER + length
        parts = body if kind in (FULL, FIRST) else parts + body
        if kind in (FULL, LAST):
            yield parts


def _checksum(kind: int, body: bytes) -> int:
    return zlib.crc32(body, zlib.crc32(bytes([kind])))


def fields(message: bytes) -> Fields:
    """The fields of a message that have a length (texts, bytes, messages), in order; numbers are left out.

    Raises:
        ValueError: it is no protobuf message. https://protobuf.dev/programming-guides/encoding/
    """
    found, at = [], 0
    while at < len(message):
        tag, at = _varint(message, at)
        kind = tag & 7
        if kind == 2:
            length, at = _varint(message, at)
            if at + length > len(message):
                raise ValueError("a field reaches beyond its message")
            found.append((tag >> 3, message[at : at + length]))
            at += length
        elif kind == 0:
            _, at = _varint(message, at)
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        else:
            raise ValueError(f"a field of kind {kind}")
    return found


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(message) and shift < 70:
        byte = message[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
    raise ValueError("a number without an end")
