"""Files as text, in all forms that RFC 4648 and RFC 2397 allow and programs use."""

from __future__ import annotations

import base64
from urllib.parse import quote

import pytest

from csi_demo.errors import PageError
from csi_demo.ui.data_url import decode

DATA = bytes(range(256)) * 3 + b"\xfb\xff\xfe?>"
TEXT = base64.b64encode(DATA).decode()
LINES = base64.encodebytes(DATA).decode()

FORMS = {
    "plain": TEXT,
    "broken into lines": LINES,  # the case
    "lines of DOS": LINES.replace("\n", "\r\n"),
    "blanks around it": f"\n {TEXT}\n",
    "the URL-safe alphabet": base64.urlsafe_b64encode(DATA).decode(),
    "no padding": TEXT.rstrip("="),
    "a data URL": f"data:image/png;base64,{TEXT}",
    "a data URL without a type": f"data:;base64,{TEXT}",
    "a data URL with a parameter": f"data:image/png;name=a.png;charset=utf-8;base64,{TEXT}",
    "capital letters": f"DATA:image/PNG;BASE64,{TEXT}",
    "base64, percent-encoded": f"data:image/png;base64,{quote(TEXT, safe='')}",
    "percent-encoded, no base64": f"data:image/png,{quote(DATA)}",
    "a data URL broken into lines": f"data:image/png;base64,{LINES}",
}


@pytest.mark.parametrize("text", FORMS.values(), ids=FORMS)
def test_every_form_means_the_same(text: str) -> None:
    assert decode(text, "The picture") == DATA


@pytest.mark.parametrize(
    "text", ["no base64!", "aGVsbG8*", "a", "data:image/png;base64", "data:", "\ud800", "aGVs=bG8="]
)
def test_what_is_none_is_named(text: str) -> None:
    with pytest.raises(PageError, match="The mask is neither an uploaded file nor base64 nor a data URL"):
        decode(text, "The mask")
