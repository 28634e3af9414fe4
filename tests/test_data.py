"""Packs of faces, wherever the decoded ones can be kept."""

from __future__ import annotations

import stat
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from csi_demo import data
from csi_demo.errors import UsageError
from csi_demo.surroundings import user

from .conftest import small_disk, write_pack


def test_decoded_packs_are_kept_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CSI_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert data.cache_folder() == tmp_path / ".cache" / "csi-demo"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    assert data.cache_folder() == tmp_path / "caches" / "csi-demo"
    monkeypatch.setenv("CSI_CACHE", str(tmp_path / "packs"))
    assert data.cache_folder() == tmp_path / "packs"


def test_without_a_home_they_are_among_the_temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The case: for a user without a name and without HOME a pack could not be read, with a traceback."""
    for name in ("CSI_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/nonexistent")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    write_pack(tmp_path / "val.parquet", 2, 0)
    assert data.read_pack(tmp_path / "val.parquet").shape == (2, 3, 64, 64)
    folder = tmp_path / f"csi-demo-packs-{user()}"
    assert len(list(folder.glob("val-*.npy"))) == 1
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    folder.chmod(0o777)
    with pytest.raises(UsageError, match="is not a folder of this user alone"):
        data.read_pack(tmp_path / "val.parquet")


def pack_of(file: Path, cells: list[bytes | None], **columns: list) -> None:
    """A pack of these picture files; attributes come with `names`, a text of them."""
    names = columns.pop("names", "")
    table = pa.table({"image": [{"bytes": cell, "path": ""} for cell in cells], **columns})
    pq.write_table(table.replace_schema_metadata({"attribute_names": names}), file)


@pytest.fixture
def cells(made_up: Path) -> list[bytes]:
    """Six picture files, and a cache of its own."""
    return list(data.read_encoded(made_up / "val.parquet").values())


def test_a_damaged_row_is_named_or_left_out_everywhere(
    cells: list[bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The case: a traceback without file or row."""
    attributes = [[1, -1], [-1, 1], None, [-1, -1]]
    more = {"attributes": attributes, "identity": [5, 6, 7, 8], "names": "Smiling Male"}
    pack_of(tmp_path / "train.parquet", [cells[0], b"no picture", cells[1], cells[2]], **more)
    with pytest.raises(data.DataError, match=r"train\.parquet, row 1: no picture that can be read \(1 such of 4 rows"):
        data.read_split(tmp_path, "train")
    with data.skipping_damaged() as skipped:
        assert len(data.read_split(tmp_path, "train")) == 3
        assert data.read_identities(tmp_path, "train").tolist() == [5, 7, 8]
        labels = data.read_attributes(tmp_path, "train", ["Male"])
        assert torch.equal(labels.isnan()[:, 0], torch.tensor([False, True, False]))
        assert data.read_labelled(tmp_path, "train").labels.tolist() == [[1.0, 0.0], [0.0, 0.0]]
    assert skipped == {tmp_path / "train.parquet": 1}
    assert capsys.readouterr().err == f"csi_demo: {tmp_path}/train.parquet: 1 of 4 rows are damaged and left out\n"
    with pytest.raises(data.DataError, match="row 1"):  # from the cache, too
        data.read_split(tmp_path, "train")


@pytest.mark.parametrize("wrong", [None, b"", "cut"], ids=["none", "empty", "cut off"])
def test_rows_are_damaged_in_several_ways(cells: list[bytes], tmp_path: Path, wrong: bytes | str | None) -> None:
    cell = cells[1][: len(cells[1]) // 2] if wrong == "cut" else wrong
    pack_of(tmp_path / "val.parquet", [cells[0], cells[2], cell])
    with pytest.raises(data.DataError, match=r"val\.parquet, row 2: no picture that can be read"):
        data.read_pack(tmp_path / "val.parquet")
    with data.skipping_damaged():
        assert len(data.read_pack(tmp_path / "val.parquet")) == 2


def test_labels_go_by_name(cells: list[bytes], tmp_path: Path) -> None:
    """The case: of two packs whose names stand in another order, the labels of the first were other attributes'."""
    for number, (names, labels) in enumerate((("Smiling Male", [1, -1]), ("Male Smiling", [-1, 1]))):
        pack_of(tmp_path / f"train-{number}.parquet", cells[:1], attributes=[labels], identity=[0], names=names)
    found = data.read_labelled(tmp_path, "train")
    assert found.names == ("Smiling", "Male")
    assert found.labels.tolist() == [[1.0, 0.0], [1.0, 0.0]]
    assert data.read_attributes(tmp_path, "train", ["Male", "Smiling"]).tolist() == [[-1.0, 1.0]] * 2


@pytest.mark.parametrize(
    ("names", "labels", "said"),
    [
        ("Smiling Young", [1, 1], r"train-1\.parquet has no labels for Male"),
        ("Smiling Male Young", [1, 1, 1], r"train-1\.parquet: other attributes than in the packs before it \(Young\)"),
        ("Smiling Male", [1], r"train-1\.parquet, row 0: 1 attributes, their names are 2"),
        ("Male Male", [1, 1], r"train-1\.parquet: an attribute is named twice"),
        ("", [1, 1], r"train-1\.parquet, row 0: 2 attributes, their names are 0"),
    ],
)
def test_labels_that_have_no_name_here_are_one_line(
    cells: list[bytes], tmp_path: Path, names: str, labels: list[int], said: str
) -> None:
    pack_of(tmp_path / "train-0.parquet", cells[:1], attributes=[[1, 1]], identity=[0], names="Smiling Male")
    pack_of(tmp_path / "train-1.parquet", cells[:1], attributes=[labels], identity=[0], names=names)
    with pytest.raises(data.DataError, match=said):
        data.read_labelled(tmp_path, "train")


@pytest.mark.parametrize("left", [0, 100, -40, -1], ids=["nothing", "a head", "no rows", "a byte short"])
def test_a_cache_cut_short_is_made_anew(cells: list[bytes], tmp_path: Path, left: int) -> None:
    """The case: a ValueError for ever after."""
    pack_of(tmp_path / "val.parquet", cells)
    frames = data.read_pack(tmp_path / "val.parquet").clone()
    (cached,) = data.cache_folder().glob("val-*.npy")
    whole = cached.read_bytes()
    for wrong in (whole[:left], b"\0" * len(whole)):
        cached.write_bytes(wrong)
        assert torch.equal(data.read_pack(tmp_path / "val.parquet"), frames)
        assert cached.read_bytes() == whole


def test_a_cache_that_does_not_fit_the_disk_is_one_line(cells: list[bytes], tmp_path: Path) -> None:
    pack_of(tmp_path / "val.parquet", cells)
    with small_disk(20_000), pytest.raises(OSError, match="File too large") as raised:
        data.read_pack(tmp_path / "val.parquet")
    assert raised.value.filename
    assert not data.cache_folder().exists()


def test_a_pack_without_pictures_says_so(tmp_path: Path, made_up: Path) -> None:
    """The case: training said "high <= 0"."""
    schema = pq.read_schema(made_up / "val.parquet")
    for name in ("train", "val"):
        pq.write_table(schema.empty_table(), tmp_path / f"{name}.parquet")
    with pytest.raises(data.DataError, match=r"train\*\.parquet in .*: no pictures"):
        data.read_split(tmp_path, "train")
    with pytest.raises(data.DataError, match=r"val\.parquet has no pictures"):
        data.read_pack(tmp_path / "val.parquet")
