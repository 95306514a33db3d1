r"""Mutual information between latents and labels, and the Mutual Information Gap.

The gap of a label is :math:`[I(z_{(1)}; v) - I(z_{(2)}; v)] / H(v)`, where :math:`z_{(1)}` and :math:`z_{(2)}` are the
two latents that share most information with the label (Chen et al. 2018). For continuous labels all three terms depend
on bins, and the information on the number of stars: both are stated with every result. Natural logarithms: nats.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import entropy, rankdata
from sklearn.preprocessing import KBinsDiscretizer

from lux.diagnostics.checks import require_finite
from lux.models.gauge import random_rotations

BINNINGS = ("width", "frequency")


@dataclasses.dataclass(frozen=True, eq=False)
class MutualInformationGap:
    """How exclusively each of M labels is held by one of P latents.

    Parameters
    ----------
    names : tuple of M str
    n_stars : (M,) array
        Stars that have the label.
    n_bins : int
    binning : str
        "width" (bins of equal width) or "frequency" (bins with equally many stars, but equal values in one bin).
    information, bias : (M, P) arrays
        Plug-in estimate in nats, and by how much it exceeds the truth to first order in one over the number of stars.
    entropy, entropy_bias : (M,) arrays
        Of the binned label, in nats.
    """

    names: tuple[str, ...]
    n_stars: np.ndarray
    n_bins: int
    binning: str
    information: np.ndarray
    bias: np.ndarray
    entropy: np.ndarray
    entropy_bias: np.ndarray

    @property
    def order(self) -> np.ndarray:
        """The latents of each label, the most informative first, (M, P)."""
        return np.argsort(-self.information, axis=1, kind="stable")

    @property
    def gap(self) -> np.ndarray:
        """Gap of each label from the plug-in estimates, (M,)."""
        return _gap(self.information, self.entropy)

    @property
    def corrected_gap(self) -> np.ndarray:
        """Gap of each label with the biases of information and entropy taken out, (M,)."""
        return _gap(self.information - self.bias, self.entropy - self.entropy_bias)


def gaussian_information(r2: ArrayLike) -> np.ndarray:
    """Return the mutual information in nats of jointly Gaussian variables from R^2, -ln(1 - R^2) / 2 (any shape)."""
    return -0.5 * np.log1p(-np.asarray(r2, float))


def plug_in_bias(n_bins: int, n_stars: int) -> float:
    """Return what binned independent variables seem to share, (b - 1)^2 / 2n nats (Miller 1955; Panzeri 1996)."""
    return (n_bins - 1) ** 2 / (2 * n_stars)


def mutual_information(x: ArrayLike, y: ArrayLike, n_bins: int = 20, binning: str = "width") -> float:
    """Return the plug-in estimate of the mutual information in nats of two variables (n,)."""
    gap = mutual_information_gap(np.reshape(x, (-1, 1)), np.reshape(y, (-1, 1)), ("y",), n_bins, binning)
    return float(gap.information[0, 0])


def mutual_information_gap(
    latents: np.ndarray, labels: np.ndarray, names: Sequence[str], n_bins: int = 20, binning: str = "width"
) -> MutualInformationGap:
    """Measure the mutual information of every latent with every label, and the gap.

    Parameters
    ----------
    latents : (N, P) array
    labels : (N, M) array
        NaN where missing; such stars are left out for that label.
    names : sequence of M str
    n_bins : int
    binning : {"width", "frequency"}

    Raises
    ------
    ValueError
        If the numbers of stars differ, latents are not finite, a label has no more stars than bins, or the binning is
        unknown.
    """
    if len(latents) != len(labels):
        raise ValueError(f"{len(latents)} stars have latents, {len(labels)} have labels; give the same stars")
    require_finite(latents, "latents")
    rows = []
    for column, name in enumerate(names):
        present = ~np.isnan(labels[:, column])
        if present.sum() <= n_bins:
            raise ValueError(f"label {name!r} has {present.sum()} stars for {n_bins} bins; use fewer bins")
        label_bins = _bin(labels[present, column][:, None], n_bins, binning)[:, 0]
        rows.append((present.sum(), *_information(_bin(latents[present], n_bins, binning), label_bins, n_bins)))
    n_stars, *columns = (np.array(values) for values in zip(*rows, strict=True))
    return MutualInformationGap(tuple(names), n_stars, n_bins, binning, *columns)


def gap_over_rotations(
    latents: np.ndarray, labels: np.ndarray, names: Sequence[str], n_rotations: int = 200, seed: int = 0, **options: Any
) -> list[MutualInformationGap]:
    """Return the gap in randomly rotated bases of the latents, in which every prediction of the model is the same.

    Other arguments are those of `mutual_information_gap`.
    """
    rotations = random_rotations(latents.shape[1], n_rotations, seed)
    return [mutual_information_gap(latents @ rotation.T, labels, names, **options) for rotation in rotations]


def _bin(values: np.ndarray, n_bins: int, binning: str) -> np.ndarray:
    """Return the bin, from 0 to n_bins - 1, of every value in its column (n, K)."""
    if binning == "frequency":
        # By rank, since KBinsDiscretizer(strategy="quantile") drops bins where values repeat. Equal values share the
        # lowest of their ranks: apart, they would carry the order of the rows.
        return (rankdata(values, method="min", axis=0) - 1) * n_bins // len(values)
    if binning != "width":
        raise ValueError(f"unknown binning {binning!r}; expected one of {', '.join(BINNINGS)}")
    bins = KBinsDiscretizer(n_bins, encode="ordinal", strategy="uniform", subsample=None)
    return bins.fit_transform(values).astype(int)


def _information(
    latent_bins: np.ndarray, label_bins: np.ndarray, n_bins: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return information (P,) of binned latents (n, P) with a binned label (n,), the label's entropy, and their biases.

    The bias is that of Miller (1955) for each of the entropies in I = H(z) + H(v) - H(z, v), over occupied bins.
    """
    n_stars, n_latents = latent_bins.shape
    codes = (np.arange(n_latents) * n_bins + latent_bins) * n_bins + label_bins[:, None]
    joint = np.bincount(codes.ravel(), minlength=n_latents * n_bins**2).reshape(n_latents, n_bins, n_bins)
    latent, label = joint.sum(axis=2), joint[0].sum(axis=0)
    label_entropy, label_bias = _entropy(label, n_stars)
    latent_entropy, latent_bias = _entropy(latent, n_stars)
    joint_entropy, joint_bias = _entropy(joint.reshape(n_latents, -1), n_stars)
    information, bias = latent_entropy + label_entropy - joint_entropy, latent_bias + label_bias - joint_bias
    return information, bias, label_entropy, label_bias


def _entropy(counts: np.ndarray, n_stars: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the plug-in entropy of counts (..., K) and its bias, -(occupied - 1) / 2n."""
    return entropy(counts, axis=-1), -(np.count_nonzero(counts, axis=-1) - 1) / (2 * n_stars)


def _gap(information: np.ndarray, entropy: np.ndarray) -> np.ndarray:
    if information.shape[1] < 2:
        raise ValueError("the gap compares the two best latents; there is one latent only")
    best = np.sort(information, axis=1)
    return (best[:, -1] - best[:, -2]) / entropy
