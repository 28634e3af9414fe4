"""What a picture file is made of, as far as reading it needs that: whether it is cut off, and it without metadata."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8"
# Parts of a PNG file that say how its pixels look; of the others, a viewer needs none.
PNG_PIXELS = {b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS"}
# JPEG segments likewise: JFIF, the colour profile, Adobe's transform; other application data and comments go.
JPEG_DROPPED = {0xFE, *range(0xE1, 0xF0)} - {0xE2, 0xEE}
START_OF_SCAN = 0xDA


def is_cut(data: bytes) -> bool:
    """Whether a file that starts as a picture ends before that picture does."""
    if data.startswith(PNG + b"\0\0\0\x0dIHDR"):
        return not any(kind == b"IEND" for kind, _ in _chunks(data))
    if data.startswith(JPEG + b"\xff"):
        return b"\xff\xd9" not in data[-1024:]
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return int.from_bytes(data[4:8], "little") + 8 > len(data)
    if data[:6] in (b"GIF87a", b"GIF89a"):
        return not data.rstrip(b"\0").endswith(b";")
    if data[:2] == b"BM" and len(data) >= 6:
        return int.from_bytes(data[2:6], "little") > len(data)
    if data[4:8] == b"ftyp":  # HEIC and AVIF
        return _boxes_end(data) > len(data)
    return False


def without_metadata(data: bytes) -> bytes:
    """A PNG or JPEG file with nothing in it but its picture and colour profile; other files as they are."""
    if data.startswith(PNG):
        return PNG + b"".join(_chunk(kind, content) for kind, content in _chunks(data) if kind in PNG_PIXELS)
    if data.startswith(JPEG):
        return _jpeg_without_metadata(data)
    return data


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and content of each whole chunk of a PNG file."""
    at = len(PNG)
    while at + 12 <= len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        if end > len(data):
            return
        yield data[at + 4 : at + 8], data[at + 8 : end - 4]
        at = end


def _chunk(kind: bytes, content: bytes) -> bytes:
    return len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")


def _jpeg_without_metadata(data: bytes) -> bytes:
    kept, at = [JPEG], len(JPEG)
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != START_OF_SCAN:
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if data[at + 1] not in JPEG_DROPPED:
            kept.append(data[at:end])
        at = end
    return b"".join((*kept, data[at:]))


def _boxes_end(data: bytes) -> int:
    """Where the last box of an ISO media file says that it ends."""
    at = 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16], "big")
        if size < 8:  # 0: up to the end of the file
            return len(data)
        at += size
    return at
