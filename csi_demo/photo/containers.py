"""What a picture file is made of, as far as reading it needs that: whether it is cut off, it without metadata, and it
with the end that it lacks."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8"
# Parts of a PNG file that say how its pixels look; of the others, a viewer needs none.
PNG_PIXELS = {b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS"}
# JPEG segments likewise: JFIF, the colour profile, Adobe's transform; other application data and comments go.
JPEG_DROPPED = {0xFE, *range(0xE1, 0xF0)} - {0xE2, 0xEE}
START_OF_SCAN, END = 0xDA, b"\xff\xd9"
FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # segments that say which components a JPEG has
COEFFICIENTS = 64
TRIALS = (b"\xaa", b"\x33")  # what more pixels could be made of


def is_cut(data: bytes) -> bool:
    """Whether a file that starts as a picture ends before that picture does."""
    if data.startswith(PNG + b"\0\0\0\x0dIHDR"):
        return not any(kind == b"IEND" for kind, _ in _chunks(data))
    if data.startswith(JPEG + b"\xff"):
        return END not in data[_first_scan(data) :]  # elsewhere, as in a thumbnail, it means nothing
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


def candidates(data: bytes) -> Iterator[tuple[bytes, ...]]:
    """Ways to end a file that breaks off: what may be the whole of it, and the same with something more before its end,
    which changes the picture if that was not whole."""
    if data.startswith(JPEG + b"\xff") and _scans_complete(data):
        bare = data.rstrip(b"\0\xff")  # as memory cards and broken transfers fill up
        for body in (bare, data) if len(data) == len(bare) + 1 else (bare,):
            yield body + END, *(body + trial * COEFFICIENTS + END for trial in TRIALS)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP" and len(data) % 2:  # without the byte that makes it even
        yield (data + b"\0",)


def _scans_complete(data: bytes) -> bool:
    """Whether the scans of a JPEG file carry every coefficient of every component to its last bit."""
    left: dict[int, set[int]] = {}
    at = len(JPEG)
    while 0 <= at < len(data) - 4:
        kind, end = data[at + 1], _segment_end(data, at)
        if data[at] != 0xFF or kind in (0x00, 0xFF, *range(0xD0, 0xD8)):  # pixels, or what fills up
            at = data.find(b"\xff", at + 1)
            continue
        content = data[at + 4 : end]
        if kind in FRAMES and len(content) > 5:
            left = {content[6 + 3 * number]: set(range(COEFFICIENTS)) for number in range(min(content[5], 4))}
        elif kind == START_OF_SCAN and len(content) >= 4 and not content[-1] & 0x0F:
            for component in content[1 : 1 + 2 * content[0] : 2]:
                left.get(component, set()).difference_update(range(content[-3], content[-2] + 1))
        at = end
    return bool(left) and not any(left.values())


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
        end = _segment_end(data, at)
        if data[at + 1] not in JPEG_DROPPED:
            kept.append(data[at:end])
        at = end
    return b"".join((*kept, data[at:]))


def _first_scan(data: bytes) -> int:
    """Where a JPEG file's pixels start, or what is none of its segments."""
    at = len(JPEG)
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != START_OF_SCAN:
        at = _segment_end(data, at)
    return at


def _segment_end(data: bytes, at: int) -> int:
    return at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")


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
