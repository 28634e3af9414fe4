"""Files that are sent as text: base64, of either alphabet (RFC 4648), or data URLs (RFC 2397)."""

from __future__ import annotations

import base64
import binascii
import re
from urllib.parse import unquote_to_bytes

from ..errors import PageError

WRAPPED = re.compile(rb"[ \t\r\n]+")  # as mail and many programs break lines
URL_SAFE = bytes.maketrans(b"-_", b"+/")


def decode(text: str, what: str) -> bytes:
    """What was sent. Raises PageError, which calls it `what`."""
    wrong = PageError(f"{what} is neither an uploaded file nor base64 nor a data URL.")
    try:
        stripped = text.strip()
        if stripped[:5].lower() != "data:":
            return _from_base64(stripped.encode("ascii"))
        head, comma, body = stripped[5:].partition(",")
        if not comma:
            raise wrong
        content = unquote_to_bytes(body) if "%" in body else body.encode("ascii")
        return _from_base64(content) if head.rstrip().lower().endswith(";base64") else content
    except (UnicodeEncodeError, binascii.Error):
        raise wrong from None


def _from_base64(text: bytes) -> bytes:
    """Line breaks, either alphabet, and padding that was left out are taken. Raises binascii.Error."""
    packed = WRAPPED.sub(b"", text).translate(URL_SAFE).rstrip(b"=")
    return base64.b64decode(packed + b"=" * (-len(packed) % 4), validate=True)
