"""Files as text: base64, of either alphabet (RFC 4648), or data URLs (RFC 2397)."""

from __future__ import annotations

import base64
import binascii
import re
from urllib.parse import unquote_to_bytes

from PIL import Image

from ..errors import PageError
from ..pixels import jpeg, png

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


def png_url(picture: Image.Image) -> str:
    """The picture as a data URL, exact."""
    return _url("png", png(picture, quickly=True))


def exact_url(picture: Image.Image) -> str:
    """The picture as a data URL with the very bytes of the file that the command line writes."""
    return _url("png", png(picture))


def view_url(picture: Image.Image, side: int | None = None) -> str:
    """The picture as a data URL to look at, at most `side` pixels long; small ones stay exact."""
    if max(picture.size) <= 256:
        return png_url(picture)
    small = picture.copy()
    if side:
        small.thumbnail((side, side), Image.Resampling.BICUBIC, reducing_gap=2.0)
    return _url("jpeg", jpeg(small))


def _url(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
