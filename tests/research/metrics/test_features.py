"""The face network and the distances measured with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from csi_demo.data import read_labelled, read_pack
from csi_demo.errors import DataError
from csi_demo.pixels import to_float
from csi_demo.research.metrics.accuracy import balanced_accuracy
from csi_demo.research.metrics.features import face_features
from csi_demo.research.metrics.frechet import frechet_distance
from csi_demo.research.training.attributes import disturb


def test_frechet_distance_of_normal_distributions():
    rng = np.random.default_rng(0)
    a = rng.standard_normal((200_000, 3))
    b = rng.standard_normal((200_000, 3)) * [1.0, 2.0, 0.5] + [0.0, 0.0, 3.0]
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-6)
    assert frechet_distance(a, b) == pytest.approx(9 + 1 + 0.25, rel=0.02)
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a))
    with pytest.raises(ValueError, match="more than 3"):
        frechet_distance(a[:3], b)


def test_features_tell_damaged_faces_from_faces(packs: Path):
    faces = to_float(read_pack(packs / "val.parquet", 600))
    first, second = face_features(faces[:300]), face_features(faces[300:])
    near = frechet_distance(first, second)
    assert frechet_distance(first, face_features(faces[300:].flip(2))) > 5 * near
    assert frechet_distance(first, face_features(torch.randn(300, 3, 64, 64).clamp(-1, 1))) > 20 * near


def test_balanced_accuracy():
    logits = torch.tensor([[1.0, 1.0, 1.0], [1.0, -1.0, -1.0], [1.0, 1.0, -1.0], [1.0, -1.0, -1.0]])
    labels = torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    assert balanced_accuracy(logits, labels).tolist() == pytest.approx([0.5, 0.5, 0.75])


def test_disturbed_pictures_stay_pictures():
    x = torch.rand(8, 3, 64, 64) * 2 - 1
    moved = disturb(x, np.random.default_rng(0), 0.5)
    assert moved.shape == x.shape
    assert moved.abs().max() <= 1
    assert not torch.equal(moved, x)
    assert torch.equal(moved, disturb(x, np.random.default_rng(0), 0.5))


def test_labelled_rows_are_those_with_attributes(made_up: Path):
    file = made_up / "train-00000-of-00002.parquet"
    table = pq.read_table(file)
    values = [[1, -1] if index % 3 == 0 else None for index in range(len(table))]
    table = table.append_column("attributes", pa.array(values, pa.list_(pa.int8())))
    table = table.append_column("identity", pa.array(range(len(table)), pa.int32()))
    pq.write_table(table.replace_schema_metadata({"attribute_names": "Smiling Male"}), file)
    labelled = read_labelled(file)
    assert labelled.names == ("Smiling", "Male")
    assert labelled.identities.tolist() == [0, 3, 6, 9]
    assert labelled.labels.tolist() == [[1, 0]] * 4
    assert torch.equal(labelled.frames, read_pack(file)[::3])
    with pytest.raises(DataError, match="no attributes"):
        read_labelled(made_up / "val.parquet")
