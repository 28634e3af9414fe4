"""Every model by its name in weights/: where its network, its method and its recipe are. Nothing is imported before it
is needed; a new model is one line here."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class Entry:
    """Homes are ``module:class``, below the folder that the property names; "" where there is none."""

    network: str = ""  # in models
    config: str = ""  # the class beside it that rebuilds it
    recipe: str = ""  # in research/training
    method: str = ""  # in methods, for a way of filling a hole
    label: str = ""  # the method's


REGISTRY: dict[str, Entry] = {
    "csi": Entry("csi:CSI", "CSIConfig", "seeing:SeeingRecipe", "csi:CSIMethod", "CSI"),
    "csi-paper": Entry("csi:CSI", "CSIConfig", "csi:CSIRecipe"),
    "dcgan": Entry("dcgan:DCGAN", "DCGANConfig", "dcgan:DCGANRecipe", "dcgan:DCGANMethod", "DCGAN"),
    "vae": Entry("vae:VAE", "VAEConfig", "vae:VAERecipe", "vae:VAEMethod", "VAE"),
    "vae-oneshot": Entry("vae:OneShotVAE", "VAEConfig", "vae:OneShotRecipe", "vae:OneShotMethod", "VAE one-shot"),
    "vae-attributes": Entry(
        "attribute_vae:AttributeVAE",
        "AttributeVAEConfig",
        "attribute_vae:AttributeVAERecipe",
        "attribute_vae:AttributeVAEMethod",
        "Attribute VAE",
    ),
    "pixelcnn": Entry(
        "gated_pixelcnn:GatedPixelCNN",
        "GatedPixelCNNConfig",
        "gated_pixelcnn:GatedPixelCNNRecipe",
        "gated_pixelcnn:GatedPixelCNNMethod",
        "Gated PixelCNN",
    ),
    "telea": Entry(method="telea:TeleaMethod", label="Telea"),
    "pixelcnn-autoencoder": Entry(
        "pixelcnn_autoencoder:PixelCNNAutoencoder", "AutoencoderConfig", "pixelcnn_autoencoder:AutoencoderRecipe"
    ),
    "ian": Entry("ian:IAN", "IANConfig", "ian:IANRecipe"),
    "attributes": Entry("attributes:AttributeNet", "AttributeConfig", "attributes:AttributeRecipe"),
    "judge": Entry("attributes:AttributeNet", "AttributeConfig", "judge:JudgeRecipe"),
    "aligner": Entry("aligner:Aligner", "AlignerConfig", "aligner:AlignerRecipe"),
    "refiner": Entry("refiner:Refiner", "RefinerConfig", "refiner:RefinerRecipe"),
}


def find(folder: str, location: str) -> Any:
    """A class of csi_demo, by its folder and home."""
    module, _, name = location.partition(":")
    return getattr(import_module(f".{folder}.{module}", __package__), name)


def build_network(name: str, config: dict[str, Any]) -> Any:
    """The network of this name, untrained, from its config.json."""
    entry = REGISTRY[name]
    module, _, _ = entry.network.partition(":")
    return find("models", entry.network)(find("models", f"{module}:{entry.config}")(**config))
