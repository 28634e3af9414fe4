"""Publishing the weights on the Hub, with a model card made from their figures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import CommitOperationAdd, HfApi, ModelCard, ModelCardData, get_token

from .. import weights
from ..errors import PublishError
from ..research.studies.tables import table
from ..surroundings import shipped

LICENCE = shipped("LICENSE")
CARD = Path(__file__).with_name("model_card.md")


def model_card(repository: str, metrics: Mapping[str, Any]) -> str:
    """The model card, README.md on the Hub, from every model's metrics.json."""
    data = ModelCardData(
        license="other",
        license_name="mit-code-non-commercial-weights",
        license_link=LICENCE.name,
        pipeline_tag="image-to-image",
        tags=["image-inpainting", "pixelcnn", "vae", "gan", "faces", "celeba"],
    )
    training = [{"model": model} | _training(values["training"]) for model, values in metrics.items()]
    tests = [(model, name, row) for model, values in metrics.items() for name, row in values.get("test", {}).items()]
    fills = [{"mask": name, "method": model} | row for model, name, row in tests if "psnr" in row]
    others = [
        f"- `{model}`, {name}: {', '.join(f'{key} {value}' for key, value in row.items() if _is_number(value))}"
        for model, name, row in tests
        if "psnr" not in row
    ]
    card = ModelCard.from_template(
        data,
        str(CARD),
        repository=repository,
        training=table(training, tuple(training[0]) if training else ()),
        fills=table(sorted(fills, key=lambda row: row["mask"])),
        others="\n".join(others),
    )
    return card.content


def _training(values: Mapping[str, Any]) -> dict[str, Any]:
    pictures = " + ".join(f"{count:,}" for count in values["pictures_per_stage"].values())
    return {"pictures": pictures, "hours": values["hours"], "hardware": values["hardware"]}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def publish(repository: str, revision: str | None = None, *, private: bool = False) -> str:
    """Pushes the local weights and their model card to a Hub repository in one commit; returns the commit's hash.

    The repository and the branch `revision` are made where they do not exist. Raises PublishError, and WeightsError
    for local weights that are not what their manifest says.
    """
    folder = weights.weights_folder()
    content: dict[str, Path | bytes] = {str(file.relative_to(folder)): file for file in weights.local_files()}
    content |= {"README.md": model_card(repository, weights.local_metrics()).encode(), LICENCE.name: LICENCE}
    if not get_token():
        raise PublishError("publishing needs a Hub token that may write: set HF_TOKEN or run `hf auth login`")
    hub = HfApi()
    try:
        hub.create_repo(repository, private=private or None, exist_ok=True)
        if private and not hub.model_info(repository).private:
            raise PublishError(
                f"{repository} exists and is public: make it private first, or publish without --private"
            )
        if revision:
            hub.create_branch(repository, branch=revision, exist_ok=True)
        files = [CommitOperationAdd(name, file) for name, file in content.items()]
        return hub.create_commit(repository, files, commit_message="Weights and model card", revision=revision).oid
    except PublishError:
        raise
    except Exception as error:  # of huggingface_hub, of its HTTP client, of the file system
        cause = error.__cause__ if isinstance(error.__cause__, Exception) else error
        raise PublishError(f"{repository} could not be published: {weights.hub_reason(cause)}") from error
