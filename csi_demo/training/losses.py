"""Loss terms: regularisers of CSI's latent space (equations 1, 2, 5), KL, and distances in deep features."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ..metrics.features import face_network

PRIOR_SAMPLES = 256


def _kernel(a: Tensor, b: Tensor) -> Tensor:
    """RBF kernel exp(-mean_j((a_j - b_j)^2) / d) of all pairs: (N, d), (M, d) -> (N, M)."""
    return torch.exp(-(a[:, None] - b[None]).square().mean(2) / a.shape[1])


def mmd(z: Tensor, prior: Tensor) -> Tensor:
    """Squared maximum mean discrepancy between two sets of latents, (N, d) and (M, d): the V-statistic, never below 0.

    The encoder's batch normalisation centres the latents of a batch; the U-statistic, which leaves the diagonal out,
    could then be driven below 0 by spreading the latents out.
    """
    return _kernel(z, z).mean() + _kernel(prior, prior).mean() - 2.0 * _kernel(z, prior).mean()


def kl_decomposition(z: Tensor, mean: Tensor, log_variance: Tensor, dataset_size: int) -> dict[str, Tensor]:
    """Equation 2, in nats a picture: mutual information, total correlation and dimension-wise KL; their sum is the KL.

    z, mean, log_variance: (M, d) of one batch. The aggregate posterior is estimated within the batch by equation 5:
    log q(z_i) = log sum_j q(z_i | x_j) - log(N M).
    """
    pairs = _log_normal(z[:, None], mean[None], log_variance[None])  # (M, M, d): log q(z_i | x_j), per dimension
    constant = math.log(dataset_size * z.shape[0])
    log_aggregate = pairs.sum(2).logsumexp(1) - constant
    log_marginals = (pairs.logsumexp(1) - constant).sum(1)
    log_posterior = _log_normal(z, mean, log_variance).sum(1)
    log_prior = _log_normal(z, torch.zeros_like(z), torch.zeros_like(z)).sum(1)
    return {
        "mutual_information": (log_posterior - log_aggregate).mean(),
        "total_correlation": (log_aggregate - log_marginals).mean(),
        "dimension_kl": (log_marginals - log_prior).mean(),
    }


def _log_normal(z: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    return -0.5 * ((z - mean).square() * torch.exp(-log_variance) + log_variance + math.log(2.0 * math.pi))


def regulariser(
    objective: str,
    z: Tensor,
    mean: Tensor,
    log_variance: Tensor,
    prior: Tensor,
    *,
    weight: float,
    tc_beta: float,
    dataset_size: int,
    dims: int,
) -> Tensor:
    """The term added to a reconstruction loss in bits per dim, in the same unit; ``dims`` = values in a picture.

    mmd: weight * MMD(q(z), p(z)). vae: the KL. beta-tcvae: the KL with its total correlation scaled by tc_beta.
    info-beta-tcvae: the same without the mutual information.
    """
    if objective == "mmd":
        return weight * mmd(z, prior)
    parts = kl_decomposition(z, mean, log_variance, dataset_size)
    beta = 1.0 if objective == "vae" else tc_beta
    nats = beta * parts["total_correlation"] + parts["dimension_kl"]
    if objective != "info-beta-tcvae":
        nats = nats + parts["mutual_information"]
    return nats / (dims * math.log(2.0))


def normal_kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, exp(log_variance)) || N(0, 1)) in nats: (B, z), (B, z) to (B,)."""
    return 0.5 * (mean.square() + log_variance.exp() - log_variance - 1.0).sum(1)


class DeepFeatures(nn.Module):
    """Activations of a fixed network at several depths, and the distance between pictures in them.

    kind: "faces", our own face network, or "vgg16", the ImageNet network of torchvision, which fetches its weights
    itself. Raises ValueError for another kind or where torchvision is missing.
    """

    VGG16_LAYERS = (3, 8, 15)  # relu1_2, relu2_2, relu3_3

    def __init__(self, kind: str = "faces"):
        super().__init__()
        self.kind = kind
        if kind == "faces":
            self.network: nn.Module = face_network()
        elif kind == "vgg16":
            try:
                from torchvision.models import VGG16_Weights, vgg16
            except ImportError:
                raise ValueError("features=vgg16 needs torchvision: install it, or use features=faces") from None
            self.network = vgg16(weights=VGG16_Weights.IMAGENET1K_V1).features[: self.VGG16_LAYERS[-1] + 1]
        else:
            raise ValueError(f"features={kind!r} is neither faces nor vgg16")
        self.network = self.network.eval().requires_grad_(False)

    def train(self, mode: bool = True) -> DeepFeatures:
        return super().train(False)  # fixed: batch statistics stay as they are

    def forward(self, x: Tensor) -> list[Tensor]:
        """x: (B, 3, 64, 64) in [-1, 1]. Returns one (B, C_l, H_l, W_l) a level."""
        if self.kind == "faces":
            return self.network.activations(x)[:3]  # type: ignore[operator]
        mean, deviation = (torch.tensor(v, device=x.device)[:, None, None] for v in _IMAGENET)
        h, found = (0.5 * x + 0.5 - mean) / deviation, []
        for index, layer in enumerate(self.network.children()):
            h = layer(h)
            if index in self.VGG16_LAYERS:
                found.append(h)
        return found

    def distance(self, drawn: Tensor, reached: list[Tensor]) -> Tensor:
        """Equation 2's second term: mean squared difference of each level, in units of its mean square, averaged.

        drawn: (B, 3, 64, 64); reached: the features of the pictures that are wanted. Returns a scalar.
        """
        terms = []
        for mine, wanted in zip(self(drawn), reached, strict=True):
            terms.append((mine - wanted).float().square().mean() / wanted.float().square().mean())
        return torch.stack(terms).mean()


_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
