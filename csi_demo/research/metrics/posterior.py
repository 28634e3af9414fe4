"""How latents are distributed: how far from their prior, and what their posterior says of the pictures."""

from __future__ import annotations

import math

import torch
from torch import Tensor


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
