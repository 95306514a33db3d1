"""What every model returns: labels with their errors."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class Prediction:
    """Labels that a model predicts.

    Parameters
    ----------
    names : tuple of M str
    labels, err : (N, M) arrays
        Predicted labels and their standard errors, in the labels' units; an error that a model does not know is NaN.
    covariance : (N, M, M) array or None
        Covariance between the predicted labels.
    """

    names: tuple[str, ...]
    labels: np.ndarray
    err: np.ndarray
    covariance: np.ndarray | None = None

    def label(self, name: str) -> np.ndarray:
        """Return one predicted label of every star, (N,)."""
        if name not in self.names:
            raise ValueError(f"unknown label {name!r}; predicted are {', '.join(self.names)}")
        return self.labels[:, self.names.index(name)]
