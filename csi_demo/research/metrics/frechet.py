"""How far a set of pictures is from real faces: the Fréchet distance in a face network's features."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from ...models.attributes import AttributeNet
from .features import face_network, features


def frechet_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Fréchet distance of normal distributions fitted to features (N, C) and (M, C), N and M > C (Heusel et al. 2017).

    |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)).
    """
    if min(len(first), len(second)) <= first.shape[1]:
        raise ValueError(f"{len(first)} and {len(second)} pictures: more than {first.shape[1]} of each are needed")
    covariances = [np.cov(features, rowvar=False) for features in (first, second)]
    root = _root(covariances[0])
    cross = np.linalg.eigvalsh(root @ covariances[1] @ root)  # the eigenvalues of S1 S2
    apart = first.mean(0) - second.mean(0)
    total = np.trace(covariances[0]) + np.trace(covariances[1]) - 2.0 * np.sqrt(np.maximum(cross, 0.0)).sum()
    return float(apart @ apart + total)


def distance_to_faces(drawn: Tensor, faces: Tensor, network: AttributeNet | None = None) -> float | None:
    """Fréchet distance between two sets of pictures (N, 3, 64, 64) in the features of a network, the face network
    unless another is given; None where they are too few."""
    first, second = (features(network or face_network(), images) for images in (drawn, faces))
    return frechet_distance(first, second) if min(len(first), len(second)) > first.shape[1] else None


def _root(matrix: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
