r"""Erasing what latents hold of given labels: least-squares concept erasure (LEACE, Belrose et al. 2023).

The eraser is the smallest change of the latents after which no linear function of them correlates with a concept:
:math:`x \mapsto x - W^+ P W (x - \mu)` with the whitening :math:`W` of the latents and the projection :math:`P` on the
columns of :math:`W \mathrm{Cov}(x, c)`. By hand, since the authors' package concept-erasure needs torch.
"""

import dataclasses

import numpy as np

from lux.diagnostics.checks import as_columns

_RANK_TOLERANCE = 1e-10


@dataclasses.dataclass(frozen=True, eq=False)
class Eraser:
    """An affine map of latents (N, P) that leaves no linear trace of the concepts.

    Parameters
    ----------
    mean : (P,) array
        Mean of the latents it was made from.
    matrix : (P, P) array
        What is taken from the latents is this matrix times their distance from the mean.
    """

    mean: np.ndarray
    matrix: np.ndarray

    def apply(self, latents: np.ndarray) -> np.ndarray:
        """Return the erased latents (N, P)."""
        return latents - (latents - self.mean) @ self.matrix.T


def fit_eraser(latents: np.ndarray, concepts: np.ndarray) -> Eraser:
    """Return the eraser of concepts (N, K), or of one (N,), from latents (N, P), both without gaps.

    Directions in which the latents spread by less than 1e-5 of their largest standard deviation count as none: there
    nothing is erased, and what they hold of a concept stays. Standardize latents of very different scales beforehand.

    Raises
    ------
    ValueError
        If the numbers of stars differ or a value is not finite.
    """
    concepts = as_columns(concepts)
    if len(latents) != len(concepts):
        raise ValueError(f"{len(latents)} stars have latents, {len(concepts)} have concepts; give the same stars")
    if not (np.all(np.isfinite(latents)) and np.all(np.isfinite(concepts))):
        raise ValueError("latents and concepts must be finite; leave out the stars whose labels are missing")
    mean = latents.mean(axis=0)
    centered, concepts = latents - mean, concepts - concepts.mean(axis=0)
    values, vectors = np.linalg.eigh(centered.T @ centered / len(latents))
    kept = values > _RANK_TOLERANCE * values[-1]
    root, vectors = np.sqrt(values[kept]), vectors[:, kept]
    whiten, color = vectors.T / root[:, None], vectors * root
    scale = np.where(concepts.std(axis=0) > 0, concepts.std(axis=0), 1)
    left, strength, _ = np.linalg.svd(whiten @ centered.T @ (concepts / scale) / len(latents), full_matrices=False)
    left = left[:, strength > _RANK_TOLERANCE * max(1.0, strength[0])]
    return Eraser(mean, color @ left @ left.T @ whiten)
