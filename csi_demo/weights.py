"""The only module that knows where weights come from and how they are stored.

A model is a folder: config.json, one or more fp16 safetensors files, metrics.json; its name is its path under the
weights, such as ``csi`` or ``ablations/two-stage``. ``weights/manifest.json`` holds the SHA-256 of each file. By
default the shipped weights are read and the network is never touched; ``CSI_WEIGHTS_REPO=user/name[@revision]`` takes
those of a Hub repository, whose files are kept in huggingface_hub's cache and read from there where the Hub does not
answer. ``CSI_WEIGHTS_DIR`` lays a folder over either: models that its manifest lists come from it, the others do not.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from .device import make_forks_safe, plain_torch
from .errors import WeightsError
from .files import write_all, write_atomically
from .registry import build_network
from .surroundings import shipped

DRAWS = (Tensor.uniform_, Tensor.normal_, Tensor.random_, Tensor.bernoulli_, Tensor.exponential_)
MANIFEST, METRICS = "manifest.json", "metrics.json"
# What trainings were against; not published.
TRAINING_ONLY = tuple(
    f"critics/{name}" for name in ("critic", "masked_critic", "refiner_critic", "refiner_face_critic")
)
Module = TypeVar("Module", bound=nn.Module)

make_forks_safe()


def weights_folder() -> Path:
    """The folder that local weights are written to: CSI_WEIGHTS_DIR, or that of the shipped ones."""
    return Path(os.environ.get("CSI_WEIGHTS_DIR") or shipped("weights"))


def hub_reason(error: Exception) -> str:
    """What went wrong with the Hub, in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reason = " ".join(lines[:2]) or type(error).__name__
    status = getattr(getattr(error, "response", None), "status_code", None)
    return f"{reason} (is HF_TOKEN set, or `hf auth login` done?)" if status in (401, 403) else reason


def _download(repository: str, file: str, revision: str | None, *, anew: bool = False) -> Path:
    """A file of a Hub repository at a revision, in the cache; anew: whatever the cache holds is replaced."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url, try_to_load_from_cache

    try:
        cached = try_to_load_from_cache(repository, file, revision=revision)
        if anew or not isinstance(cached, str):
            # Asked once and briefly: for a file that is not cached, hf_hub_download itself asks again for minutes.
            get_hf_file_metadata(hf_hub_url(repository, file, revision=revision))
        if anew and isinstance(cached, str):
            Path(cached).unlink(missing_ok=True)
        return Path(hf_hub_download(repository, file, revision=revision, force_download=anew))
    except Exception as error:  # of huggingface_hub, of its HTTP client, of the file system
        source = f"{repository}@{revision}" if revision else repository
        damaged = "is damaged in the cache and " if anew else ""
        raise WeightsError(
            f"{file} {damaged}could not be fetched from the Hub repository {source}: {hub_reason(error)}"
        ) from error


@cache
def _commit(repository: str, revision: str | None) -> str:
    """The commit that a revision stands for, found once a process, so that all files are of the same commit."""
    return _download(repository, MANIFEST, revision).parent.name


def _from_hub() -> bool:
    return bool(os.environ.get("CSI_WEIGHTS_REPO"))


def _home(model: str, folder: Path | None = None) -> Path | None:
    """The folder that a model's files come from: this one, else CSI_WEIGHTS_DIR where it lists the model, else that of
    the shipped weights. None: the Hub. Raises WeightsError."""
    if folder is None and os.environ.get("CSI_WEIGHTS_DIR") and model in _manifest(weights_folder()):
        return weights_folder()
    return folder or (None if _from_hub() else shipped("weights"))


def _resolve(file: str, home: Path | None, *, anew: bool = False) -> Path:
    """Path of a file such as ``csi/config.json`` in a folder of weights; None: on the Hub, from where it is downloaded
    first."""
    if home is None:
        repository, _, revision = os.environ["CSI_WEIGHTS_REPO"].partition("@")
        return _download(repository, file, _commit(repository, revision or None), anew=anew)
    path = home / file
    if not path.is_file():
        raise WeightsError(
            f"{path} is missing: restore it, or point CSI_WEIGHTS_DIR or CSI_WEIGHTS_REPO to the weights"
        )
    return path


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (ValueError, OSError) as error:
        raise WeightsError(f"{path} is damaged: not readable as JSON ({error})") from None


def _entry(model: str, home: Path | None, *, anew: bool = False) -> dict[str, str]:
    """The manifest's entry of a model. A manifest from the Hub that is damaged is fetched anew once."""
    try:
        manifest = _manifest(home, anew=anew)
        if model not in manifest:
            path = _resolve(MANIFEST, home)
            raise WeightsError(f"{path} has no model {model!r}; it lists: {', '.join(manifest) or 'none'}")
    except WeightsError:
        if anew or home:
            raise
        return _entry(model, None, anew=True)
    return manifest[model]


def _manifest(home: Path | None, *, anew: bool = False) -> dict[str, dict[str, str]]:
    path = _resolve(MANIFEST, home, anew=anew)
    manifest = _read_json(path)
    if not isinstance(manifest, dict):
        raise WeightsError(f"{path} is damaged: not a list of models")
    return manifest


def _checked(model: str, file: str, home: Path | None) -> Path:
    """Path of a model's file with the manifest's SHA-256. What came from the Hub damaged is fetched anew once."""
    name, expected = f"{model}/{file}", _entry(model, home).get(file, "nothing")
    path = _resolve(name, home)
    digest = _sha256(path)
    if digest != expected and home is None:
        path = _resolve(name, None, anew=True)
        digest, expected = _sha256(path), _entry(model, None, anew=True).get(file, "nothing")
    if digest != expected:
        raise WeightsError(f"{path} is damaged: its SHA-256 is {digest[:12]}…, the manifest says {expected[:12]}…")
    return path


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def load_json(model: str, file: str) -> Any:
    """A JSON file of a model's folder, checked against the manifest; None where the model has no such file."""
    home = _home(model)
    return _read_json(_checked(model, file, home)) if file in _entry(model, home) else None


def fingerprint(model: str) -> str:
    """SHA-256 of all the model's tensors, by those of its files in the manifest: tells its weights from others."""
    digests = [digest for file, digest in sorted(_entry(model, _home(model)).items()) if file.endswith(".safetensors")]
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def available(model: str, folder: Path | None = None) -> bool:
    """Whether the weights, those of a folder or those that are configured, list this model; a folder without a manifest
    lists none. Raises WeightsError for a manifest that is damaged or out of reach."""
    if folder and not (folder / MANIFEST).is_file():
        return False
    return model in _manifest(_home(model, folder))


def load_config(model: str, folder: Path | None = None) -> dict[str, Any]:
    """The model's config.json, checked against the manifest; of a folder of weights, or of those configured."""
    return _read_json(_checked(model, "config.json", _home(model, folder)))


def load_state(model: str, folder: Path | None = None) -> dict[str, Tensor]:
    """All tensors of a model as float32, checked against the manifest; of a folder of weights, or of those configured.
    Raises WeightsError naming a broken file."""
    state: dict[str, Tensor] = {}
    home = _home(model, folder)
    for file in sorted(name for name in _entry(model, home) if name.endswith(".safetensors")):
        path = _checked(model, file, home)
        try:
            state |= load_file(path)
        except Exception as error:
            raise WeightsError(f"{path} is damaged: not readable as safetensors ({error})") from None
    for name, tensor in state.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise WeightsError(f"weights of {model}: {name} has values that are not finite")
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in state.items()}


def load_into(model: str, module: Module, folder: Path | None = None) -> Module:
    """Fills a module strictly: same names, same shapes. Returns it in eval mode, without gradients."""
    state = load_state(model, folder)
    try:
        module.load_state_dict(state, strict=True)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise WeightsError(f"the weights of {model} do not fit its config.json: {reason}") from None
    return module.eval().requires_grad_(False)


def load_network(name: str, folder: Path | None = None, weights: str | None = None) -> Any:
    """The trained network of this name in the registry, in eval mode; weights: its name in the manifest, where it is
    another. Raises WeightsError."""
    model = weights or name
    with plain_torch():
        config = load_config(model, folder)
        with Undrawn():
            network = build_network(name, config)
        return load_into(model, network, folder)


class Undrawn(TorchFunctionMode):
    """Within, no weight is drawn at random, since others will take their places: the caller's random numbers stay."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        drawn = getattr(func, "__module__", "") == "torch.nn.init" or func in DRAWS
        return (args[0] if args else kwargs["tensor"]) if drawn else func(*args, **kwargs)


def save_model(
    folder: Path,
    config: Mapping[str, Any],
    state: Mapping[str, Tensor],
    metrics: Mapping[str, Any],
    groups: Mapping[str, tuple[str, ...]],
) -> None:
    """Writes a model's folder (fp16) and its manifest entry.

    groups: file name without ending -> prefixes of the tensors it holds; an empty prefix takes what is left. Several
    files keep each below the Hub's limit for plain git files.
    """
    left, contents = dict(state), dict[str, bytes | str]()
    for name, prefixes in groups.items():
        chosen = {key: left.pop(key) for key in list(left) if key.startswith(prefixes)}
        half = {k: (t.half() if t.is_floating_point() else t).contiguous().clone() for k, t in chosen.items()}
        contents[f"{name}.safetensors"] = save(half)
    assert not left, f"tensors in no group: {sorted(left)}"
    contents["config.json"] = _json(config)
    _write_model(folder.parent, folder.name, contents, metrics)


def _write_model(
    weights: Path, model: str, contents: Mapping[str, bytes | str], metrics: Mapping[str, Any] | None
) -> None:
    """Writes a model's files, its metrics and the manifest of a folder of weights, all of them or none."""
    manifest = _digests(weights)
    for name, content in contents.items():
        digest = hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()
        manifest.setdefault(model, {})[name] = digest
    files = {weights / model / name: content for name, content in contents.items()}
    if metrics is not None:
        files[weights / model / METRICS] = _json(metrics)
    listed = {name: dict(sorted(files.items())) for name, files in sorted(manifest.items())}
    write_all(files | {weights / MANIFEST: _json(listed)})


def _json(content: Mapping[str, Any]) -> str:
    return json.dumps(dict(content), indent=1) + "\n"


def save_metrics(folder: Path, metrics: Mapping[str, Any]) -> None:
    """Writes a model's metrics.json."""
    write_atomically(folder / METRICS, _json(metrics))


def read_metrics(model: str, folder: Path | None = None) -> dict[str, Any]:
    """A model's metrics.json, of a folder of weights or of those configured. Raises WeightsError for one that is
    missing or damaged."""
    return _read_json(_resolve(f"{model}/{METRICS}", _home(model, folder)))


def copy_model(source: str, folder: Path, model: str, metrics: Mapping[str, Any]) -> None:
    """Copies a model of another folder of weights into the local ones under a name, with these metrics.

    Raises WeightsError for a file that is missing or not what the folder's manifest says.
    """
    contents = {file: _checked(source, file, folder).read_bytes() for file in _entry(source, folder)}
    _write_model(weights_folder(), model, contents, metrics)


def record_test(model: str, name: str, figures: Mapping[str, Any]) -> None:
    """Puts figures measured on test faces under a name into a model's metrics.json, where its weights come from."""
    folder = (_home(model) or weights_folder()) / model
    metrics = _read_json(folder / METRICS)
    metrics.setdefault("test", {})[name] = dict(figures)
    save_metrics(folder, metrics)


def latents_text(latents: Mapping[str, Any]) -> str:
    """The text of a latents.json: JSON with a line for every value and for every entry of a list of dicts."""
    parts = []
    for key, value in latents.items():
        rows = isinstance(value, list) and value and isinstance(value[0], dict)
        text = "[\n  " + ",\n  ".join(json.dumps(row) for row in value) + "\n ]" if rows else json.dumps(value)
        parts.append(f" {json.dumps(key)}: {text}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def save_latents(model: str, latents: Mapping[str, Any]) -> None:
    """Writes a model's latents.json, where its weights come from, and its manifest entry."""
    _write_model(_home(model) or weights_folder(), model, {"latents.json": latents_text(latents)}, None)


def _digests(weights: Path) -> dict[str, dict[str, str]]:
    """What the manifest of these model folders says: SHA-256 of every file a model is loaded from."""
    return {
        config.parent.relative_to(weights).as_posix(): {
            file.name: _sha256(file)
            for file in sorted(config.parent.iterdir())
            if file.suffix == ".safetensors" or file.name in ("config.json", "latents.json")
        }
        for config in sorted(weights.rglob("*/config.json"))
    }


def update_manifest(weights: Path) -> None:
    """Rewrites manifest.json from the model folders beside it."""
    write_atomically(weights / MANIFEST, json.dumps(_digests(weights), indent=1) + "\n")


def local_metrics() -> dict[str, Any]:
    """Model -> its metrics.json, of all local models."""
    folder = weights_folder()
    files = sorted(folder.rglob(f"*/{METRICS}"))
    return {file.parent.relative_to(folder).as_posix(): _read_json(file) for file in files}


def local_files() -> list[Path]:
    """The files of the local weights that are worth publishing. Raises WeightsError where the manifest disagrees."""
    folder = weights_folder()
    if not (folder / MANIFEST).is_file():
        raise WeightsError(f"{folder / MANIFEST} is missing: there are no weights to publish")
    listed, found = _read_json(folder / MANIFEST), _digests(folder)
    for model in sorted({*listed, *found}):
        entry, digests = listed.get(model, {}), found.get(model, {})
        for file in sorted({*entry, *digests}):
            if entry.get(file) != digests.get(file):
                raise WeightsError(f"{folder / model / file} is not what {MANIFEST} says: restore it, or train it anew")
    published = [model for model in listed if model not in TRAINING_ONLY]
    names = [MANIFEST, "TRAINING.md", *(f"{model}/{file}" for model in published for file in (*listed[model], METRICS))]
    return [folder / name for name in names if (folder / name).is_file()]
