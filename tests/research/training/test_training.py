from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from csi_demo import data
from csi_demo.errors import TrainingError
from csi_demo.models.csi import CSIConfig
from csi_demo.photo.placement import Placement
from csi_demo.pixels import to_float
from csi_demo.registry import build_network
from csi_demo.research.metrics.turn import turning_axis
from csi_demo.research.training import aligner
from csi_demo.research.training.csi import CSIRecipe, CSISettings, make_batch
from csi_demo.research.training.loop import CHECKPOINT, rate, train

from ...conftest import small_disk, write_pack

TINY_MODEL = {
    "latent_dim": 4,
    "posterior_rank": 2,
    "encoder_channels": (4, 4, 4, 4),
    "decoder_channels": (4, 4, 4, 4, 4),
    "bottleneck": 8,
    "map_channels": 4,
    "filters": 8,
    "blocks": 1,
    "mixtures": 2,
    "regulariser_weight": 10.0,
    "dropout": 0.2,
}
TINY_TRAINING = {"pictures": (24, 16), "batch": 8, "warmup": 8, "crop": (16, 16), "bf16": False, "val_pictures": 4}
TINY_TRAINING |= {"sheet_minutes": 0}


class CrashingRecipe(CSIRecipe):
    """Dies in the middle of training, at the n-th batch it is asked for."""

    def __init__(self, settings: CSISettings, crash_at: int):
        super().__init__(settings, TINY_MODEL)
        self.left = crash_at

    def batch(self, *arguments):
        self.left -= 1
        if self.left == 0:
            raise InterruptedError("as if the power had gone")
        return super().batch(*arguments)


def state_of(folder: Path) -> dict:
    return torch.load(folder / CHECKPOINT, weights_only=True)


def test_resumed_training_equals_uninterrupted_training(made_up: Path, tmp_path: Path):
    settings = CSISettings(**TINY_TRAINING, checkpoint_minutes=0.0)
    metrics = train(CSIRecipe(settings, TINY_MODEL), made_up, tmp_path / "whole", device="cpu")
    assert metrics["training"]["pictures_per_stage"] == {"1": 24, "2": 16}
    out = tmp_path / "pieces"
    for crash_at in (3, 3):  # in stage 1, then in stage 2
        with pytest.raises(InterruptedError):
            train(CrashingRecipe(settings, crash_at), made_up, out, resume=True, device="cpu")
    train(CSIRecipe(settings, TINY_MODEL), made_up, out, resume=True, device="cpu")
    whole, pieces = state_of(tmp_path / "whole"), state_of(out)
    for part in ("model", "average"):
        for name, tensor in whole[part].items():
            assert torch.equal(tensor, pieces[part][name]), f"{part}: {name}"
    for name in ("config.json", "encoder.safetensors", "decoder.safetensors", "pixelcnn.safetensors"):
        assert (tmp_path / "whole" / "csi" / name).read_bytes() == (out / "csi" / name).read_bytes()


def test_stage_two_leaves_encoder_and_decoder_alone(made_up: Path, tmp_path: Path):
    settings = CSISettings(**TINY_TRAINING, checkpoint_minutes=0.0)
    with pytest.raises(InterruptedError):
        train(CrashingRecipe(settings, 4), made_up, tmp_path / "out", device="cpu")  # stage 1 has three steps
    first = state_of(tmp_path / "out")
    assert (first["stage"], first["pictures"]) == (1, 24)
    train(CSIRecipe(settings, TINY_MODEL), made_up, tmp_path / "out", resume=True, device="cpu")
    second = state_of(tmp_path / "out")
    for name, tensor in second["average"].items():
        frozen = name.startswith(("encoder.", "decoder."))
        same = torch.equal(tensor, first["average"][name])
        if frozen:
            assert same, name
        elif name.startswith(("reverse_stream.vertical", "forward_stream.horizontal")):
            assert not same, name


def test_training_lowers_the_loss_and_writes_curves(made_up: Path, tmp_path: Path):
    settings = CSISettings(**(TINY_TRAINING | {"pictures": (240, 160), "learning_rate": (3e-3, 3e-3)}))
    metrics = train(CSIRecipe(settings, TINY_MODEL | {"dropout": 0.0}), made_up, tmp_path / "out", device="cpu")
    start = train(CSIRecipe(settings.replace(pictures=(8, 8)), TINY_MODEL), made_up, tmp_path / "start", device="cpu")
    for stage in (0, 1):
        assert metrics["training"]["curve"][stage]["val_bits"] < start["training"]["curve"][stage]["val_bits"] - 0.3
    assert json.loads((tmp_path / "out" / "curves.json").read_text()) == metrics["training"]["curve"]
    assert Image.open(tmp_path / "out" / "curves.png").size[0] > 100
    stored = json.loads((tmp_path / "out" / "csi" / "metrics.json").read_text())
    assert stored["training"]["settings"]["learning_rate"] == [3e-3, 3e-3]


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["vae", "beta-tcvae", "info-beta-tcvae"])
def test_other_objectives_train(made_up: Path, tmp_path: Path, objective: str):
    settings = CSISettings(**(TINY_TRAINING | {"pictures": (16, 8)}))
    metrics = train(CSIRecipe(settings, TINY_MODEL | {"objective": objective}), made_up, tmp_path, device="cpu")
    assert np.isfinite([row["val_loss"] for row in metrics["training"]["curve"]]).all()


@pytest.mark.slow
@pytest.mark.parametrize("switch", [{"latent_dim": 0}, {"reverse_stream": False}])
def test_ablated_models_train(made_up: Path, tmp_path: Path, switch: dict):
    settings = CSISettings(**(TINY_TRAINING | {"pictures": (16, 16)}))
    metrics = train(CSIRecipe(settings, TINY_MODEL | switch), made_up, tmp_path, device="cpu")
    assert metrics["training"]["pictures_per_stage"]["2"] == 16


def test_a_loss_that_is_not_finite_stops_with_the_figures(made_up: Path, tmp_path: Path):
    settings = CSISettings(**(TINY_TRAINING | {"learning_rate": (1e30, 1e30), "clip": 1e30}), checkpoint_minutes=0.0)
    with pytest.raises(TrainingError, match=r"stage 1, step \d+: the loss is not finite \(.*bits .*mmd "):
        train(CSIRecipe(settings, TINY_MODEL), made_up, tmp_path / "out", device="cpu")


def test_an_earlier_run_is_not_overwritten_and_a_damaged_checkpoint_is_named(made_up: Path, tmp_path: Path):
    recipe = CSIRecipe(CSISettings(**(TINY_TRAINING | {"pictures": (8, 8)})), TINY_MODEL)
    train(recipe, made_up, tmp_path / "out", device="cpu")
    with pytest.raises(TrainingError, match=r"state\.pt exists: pass --resume"):
        train(recipe, made_up, tmp_path / "out", device="cpu")
    (tmp_path / "out" / CHECKPOINT).write_bytes(b"half")
    with pytest.raises(TrainingError, match=r"state\.pt cannot be resumed"):
        train(recipe, made_up, tmp_path / "out", resume=True, device="cpu")


def settings_words(**changes) -> list[str]:
    values = TINY_MODEL | TINY_TRAINING | changes
    return [word for name, value in values.items() for word in ("--set", f"{name}={value}")]


def run_training(launcher: list[str], folder: Path, out: Path, *words: str) -> subprocess.Popen:
    command = [*launcher, "-m", "csi_demo", "train", "csi-paper", "--data", str(folder), "--out", str(out)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.Popen(
        [*command, "--device", "cpu", *words],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.slow
def test_two_processes_train_together(made_up: Path, tmp_path: Path):
    launcher = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    launcher += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    process = run_training(launcher, made_up, tmp_path / "out", *settings_words())
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    metrics = json.loads((tmp_path / "out" / "csi" / "metrics.json").read_text())
    assert metrics["training"]["processes"] == 2
    assert metrics["training"]["pictures_per_stage"] == {"1": 24, "2": 16}
    assert said.count("stage 2") == 1, "each line is printed once"


@pytest.mark.slow
def test_time_limit_and_a_kill_leave_a_checkpoint_that_resumes(made_up: Path, tmp_path: Path):
    out = tmp_path / "out"
    endless = settings_words(pictures=(10**6, 8), checkpoint_minutes=0.001)
    process = run_training([sys.executable], made_up, out, *endless, "--minutes", "0.02")
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    reached = state_of(out)["pictures"]
    process = run_training([sys.executable], made_up, out, *endless, "--resume")
    deadline = time.monotonic() + 120
    while state_of(out)["pictures"] <= reached + 8 and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert state_of(out)["pictures"] > reached
    process = run_training([sys.executable], made_up, out, *endless, "--resume", "--minutes", "0.02")
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said


@pytest.mark.slow
def test_the_aligner_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CSI_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(aligner, "HELD_OUT", 2)
    write_pack(tmp_path / "train.parquet", 6, 0, size=aligner.PICTURE)
    settings = aligner.AlignerSettings(pictures=(64,), batch=16, warmup=16, bf16=False)
    metrics = train(aligner.AlignerRecipe(settings, {"channels": (4,) * 6}), tmp_path, tmp_path / "out", device="cpu")
    assert np.isfinite(metrics["training"]["curve"][-1]["val_points"])
    assert (tmp_path / "out" / "aligner" / "aligner.safetensors").is_file()
    monkeypatch.setattr(aligner, "HELD_OUT", 256)
    with pytest.raises(data.DataError, match="6 training pictures: more than 256 are needed"):
        aligner.AlignerRecipe(settings, {}).read(tmp_path)


def test_a_crop_and_its_correction_belong_together():
    rng = np.random.default_rng(0)
    target = rng.uniform(-0.3, 0.3, (20, 4)).astype(np.float32)
    placed = aligner.place(torch.from_numpy(target)).numpy() + 32.0
    for (dx, dy, scale, angle), (x, y, size, turn), points in zip(
        target, aligner.crops_before(torch.from_numpy(target)).tolist(), placed, strict=True
    ):
        crop = Placement(x, y, size, np.degrees(turn))
        found = crop.moved(64 * dx, 64 * dy, np.exp(scale), np.degrees(angle))
        wanted = aligner.FACE
        assert np.allclose(
            (found.x, found.y, found.size, found.angle), (wanted.x, wanted.y, wanted.size, 0.0), atol=1e-3
        )
        assert np.allclose(crop.to_frame(wanted.to_photo(np.array(aligner.POINTS))), points, atol=1e-3)


def test_the_aligner_sees_the_eyes_where_the_frame_has_them():
    """However a face is stretched around them: two dark spots at CelebA's places of the eyes lie where the correction
    says."""
    picture = torch.full((1, 3, 218, 178), 200, dtype=torch.uint8)
    for x, y in aligner.EYES:
        picture[:, :, int(y) - 3 : int(y) + 3, int(x) - 3 : int(x) + 3] = 0
    settings = aligner.AlignerSettings(faceless=0.0, proportions=0.2, shift=0.1, scale=1.2, angle=15.0)
    pictures, count = picture.expand(2, -1, -1, -1), 24
    chance = aligner.Chance(count, torch.Generator().manual_seed(0))
    reach = torch.tensor((settings.shift, settings.shift, 0.2, 0.25))
    target = reach * (2.0 * chance.uniform(4) - 1.0)
    rows = to_float(pictures[:1]).expand(count, -1, -1, -1)
    off = aligner.crops_before(target)
    crops = aligner._crop(rows, off, rows, chance, settings.proportions)
    for crop, (x, y, size, turn) in zip(crops, off.tolist(), strict=True):
        placement = Placement(x, y, size, np.degrees(turn))
        for column, row in placement.to_frame(np.array(aligner.EYES)):
            assert crop[0, round(row - 0.5), round(column - 0.5)] < 0.0


def test_rate_warms_up_and_falls():
    settings = CSISettings(pictures=(1000, 50), learning_rate=(1.0, 0.5), warmup=100, final_rate=0.1)
    rates = [rate(settings, 1, pictures) for pictures in range(0, 1001, 10)]
    assert rates[0] < 0.02
    assert max(rates) == pytest.approx(1.0, abs=0.01)
    assert rates[-1] == pytest.approx(0.1)
    assert rates[12:] == sorted(rates[12:], reverse=True)


def test_stage_two_crops_meet_the_hole(made_up: Path):
    frames = data.read_split(made_up, "train")
    batch = make_batch(frames, 64, 2, np.random.default_rng(0), 16, CSIConfig())
    for mask, (y, x) in zip(batch["mask"], batch["crop"].tolist(), strict=True):
        assert (mask[0, y : y + 16, x : x + 16] == 0).any()


def test_packs_are_decoded_once(made_up: Path, monkeypatch: pytest.MonkeyPatch):
    frames = data.read_split(made_up, "train")
    assert frames.shape == (20, 3, 64, 64)
    assert frames.dtype == torch.uint8
    data.read_split(made_up, "val")
    monkeypatch.setattr(data, "_decode", lambda file: pytest.fail("decoded again"))
    assert torch.equal(frames, data.read_split(made_up, "train"))
    assert data.read_pack(made_up / "val.parquet", limit=2).shape[0] == 2


def test_folders_without_packs_and_files_that_are_none(tmp_path: Path, made_up: Path):
    with pytest.raises(data.DataError, match=r"no train\*\.parquet in"):
        data.read_split(tmp_path / "nowhere", "train")
    (tmp_path / "x.parquet").write_text("no")
    with pytest.raises(data.DataError, match=r"x\.parquet is not a Parquet pack"):
        data.read_pack(tmp_path / "x.parquet")
    write_pack(tmp_path / "small.parquet", 1, 0, size=(32, 32))
    with pytest.raises(data.DataError, match=r"\(32, 32\), expected \(64, 64\)"):
        data.read_pack(tmp_path / "small.parquet")
    assert not list((tmp_path / "cache").glob("*.part"))


@pytest.mark.slow
def test_real_packs_hold_what_their_readme_says(packs: Path):
    frames = data.read_pack(packs / "val.parquet")
    assert frames.shape == (1000, 3, 64, 64)
    assert 60 < frames.float().mean() < 180


def test_the_last_good_checkpoint_stays_where_the_disk_is_full(made_up: Path, tmp_path: Path) -> None:
    """The case: a RuntimeError of the archive's writer, and half of a new checkpoint was left."""
    settings = CSISettings(**TINY_TRAINING, checkpoint_minutes=0.0)
    with pytest.raises(InterruptedError):
        train(CrashingRecipe(settings, 3), made_up, tmp_path, device="cpu")
    before = (tmp_path / CHECKPOINT).read_bytes()
    data.read_split(made_up, "train")
    with small_disk(5000), pytest.raises(TrainingError, match=r"state\.pt cannot be written: File too large; the last"):
        train(CSIRecipe(settings, TINY_MODEL), made_up, tmp_path, resume=True, device="cpu")
    assert (tmp_path / CHECKPOINT).read_bytes() == before
    assert not list(tmp_path.rglob("*.part"))
    train(CSIRecipe(settings, TINY_MODEL), made_up, tmp_path, resume=True, device="cpu")


@pytest.mark.parametrize("model", ["vae", "ian"])
def test_one_picture_is_enough(tmp_path: Path, model: str) -> None:
    """The case: a LinAlgError, since one picture has no covariance."""
    network = build_network(model, {}).eval()
    frames = to_float(torch.randint(256, (1, 3, 64, 64), generator=torch.Generator().manual_seed(0)).byte())
    if model == "vae":
        network.fit_aggregate([frames])
        assert torch.isfinite(network.sample(torch.zeros(1, network.config.latent_dim))).all()
    else:
        network.rebase(frames)
        assert torch.isfinite(network.encode(frames)).all()


@pytest.mark.parametrize("symmetric", [False, True])
def test_one_picture_turns_somehow(symmetric: bool) -> None:
    """The case: CSI on one picture broke down with a traceback."""
    frames = to_float(torch.randint(256, (1, 3, 64, 64), generator=torch.Generator().manual_seed(0)).byte())
    if symmetric:
        frames = (frames + frames.flip(3)) / 2
    assert torch.isfinite(turning_axis(frames)).all()


def test_a_training_that_is_stopped_leaves_its_last_row_and_what_can_be_watched(made_up: Path, tmp_path: Path):
    pytest.importorskip("tensorboard", reason="needs TensorBoard, of the extra [train]")
    from csi_demo.research.training.vae import OneShotRecipe

    settings = OneShotRecipe.settings_type(
        pictures=(100_000,), batch=4, bf16=False, val_pictures=2, sheet_minutes=10.0, checkpoint_minutes=60.0
    )
    recipe, out = OneShotRecipe(settings, {}), tmp_path / "out"
    recipe.batch = stopping_after(recipe.batch, 2)  # type: ignore[method-assign]
    metrics = train(recipe, made_up, out, device="cpu", tensorboard=True)
    (row,) = metrics["training"]["curve"]
    assert row["pictures"] == 8
    assert {"train_loss", "val_loss"} <= row.keys()
    assert json.loads((out / "curves.json").read_text()) == [row]
    (sheet,) = (out / "sheets").iterdir()
    assert Image.open(sheet).size == (2 * 3 * 66, 2 * 2 * 66)
    (events,) = (out / "tensorboard").iterdir()
    assert b"stage 1/val_loss" in events.read_bytes()
    with pytest.raises(TrainingError, match=r"state\.pt exists: pass --resume"):
        train(recipe, tmp_path / "no data is looked for", out, device="cpu")


def stopping_after(draw: Callable[..., Any], steps: int) -> Callable[..., Any]:
    """What draws batches, but that the process is told to stop at the last of so many."""
    drawn = []

    def drawing(*arguments: Any) -> Any:
        drawn.append(None)
        if len(drawn) == steps:
            os.kill(os.getpid(), signal.SIGTERM)
        return draw(*arguments)

    return drawing
