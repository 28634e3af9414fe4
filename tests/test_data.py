"""Packs of faces, wherever the decoded ones can be kept."""

from __future__ import annotations

import stat
import tempfile
from pathlib import Path

import pytest

from csi_demo import data
from csi_demo.errors import UsageError
from csi_demo.surroundings import user

from .conftest import write_pack


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
