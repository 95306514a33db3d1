"""What can be seen of a network, and of any model with gradients: the counterparts of the published techniques.

Each technique gives one number, as in `lux.controls.techniques`: the larger, the better the evidence for knowledge.
Those of pixels ask whether the prediction is owed to the pixels at the lines more than to the same pixels moved along
the grid; as is usual, by the mean size of what a pixel is owed in each star, whatever its sign.
"""

from typing import Any

import numpy as np

from lux.auditing import measurements
from lux.controls.ensemble import CANDIDATE_LINES, LABEL
from lux.diagnostics import erasure, probing
from lux.diagnostics import pixel_attribution as attribution
from lux.diagnostics.attribution import line_groups
from lux.statistics import PermutationTest
from lux.survey import Survey

# Name -> what is scored.
PIXEL_TECHNIQUES = {
    "probe": "R² of a linear probe of the last layer",
    "kernel_probe": "R² of a kernel probe of the last layer",
    "leace": "R² of a linear probe after LEACE has erased the other labels",
    "gradient": "gradient at the lines, downwards",
    "smooth": "SmoothGrad at the lines, downwards",
    "input": "gradient × input at the lines, mean size",
    "integrated": "integrated gradients at the lines, mean size",
    "expected": "expected gradients at the lines, mean size",
    "occlusion": "occlusion of the lines, mean size of the change",
    "shap": "SHAP of the lines among groups of pixels, share of the mean sizes",
}
# Those that are told the lines.
TOLD = ("gradient", "smooth", "input", "integrated", "expected", "occlusion", "shap")
# Stars that are explained.
_N_EXPLAINED = 200
_N_PROBE_FOLDS, _N_OCCLUDED = 3, 20


def measure_pixel_techniques(
    model: Any, train_layer: np.ndarray, test_layer: np.ndarray, train: Survey, test: Survey, seed: int
) -> dict[str, float]:
    """Return the number of each of `PIXEL_TECHNIQUES` for europium in one world.

    Parameters
    ----------
    model : object with ``gradient(survey, label)`` and ``predict_labels(survey)``
    train_layer, test_layer : (N, P) arrays
        The last hidden layer, or the latents, of the training and test stars.
    train, test : Survey
    seed : int
    """
    label, others = test.label(LABEL), np.delete(train.labels, train.label_index(LABEL), axis=1)
    erased = erasure.fit_eraser(train_layer, others).apply(test_layer)
    options: dict[str, Any] = {"n_folds": _N_PROBE_FOLDS, "n_control": 0, "seed": seed}
    found = {
        "probe": probing.probe(test_layer, label, **options).r2,
        "kernel_probe": probing.probe(test_layer, label, kind="kernel", **options).r2,
        "leace": probing.probe(erased, label, **options).r2,
    }
    return found | _of_pixels(model, test[: min(_N_EXPLAINED, test.n_stars)], seed)


def _of_pixels(model: Any, stars: Survey, seed: int) -> dict[str, float]:
    _, near = measurements.locate(stars.wavelength, CANDIDATE_LINES)
    maps = {
        "gradient": -model.gradient(stars, LABEL).mean(axis=0),
        "smooth": -attribution.smooth_gradient(model, stars, LABEL, seed=seed).mean(axis=0),
    }
    owed = {
        "input": attribution.gradient_times_input(model, stars, LABEL),
        "integrated": attribution.integrated_gradients(model, stars, LABEL),
        "expected": attribution.expected_gradients(model, stars, LABEL, seed=seed),
    }
    maps |= {name: np.abs(each).mean(axis=0) for name, each in owed.items()}
    found = {name: _z_score(attribution.contrast_at(values, near, seed=seed)) for name, values in maps.items()}
    windows = [near, *attribution.moved_along(near, _N_OCCLUDED, seed)]
    lost = np.abs(attribution.occlusion(model, stars, LABEL, windows)).mean(axis=1)
    groups = {name: group & ~near for name, group in line_groups(stars.wavelength).items()}
    shap = attribution.group_shap(model, stars, LABEL, {"lines": near, **groups})
    size = {name: float(np.abs(each).mean()) for name, each in shap.items()}
    share = size["lines"] / max(sum(size.values()), 1e-30)
    return found | {"occlusion": _z_score(PermutationTest(float(lost[0]), lost[1:])), "shap": share}


def _z_score(test: PermutationTest) -> float:
    """Return the statistic in standard deviations of its null distribution; zero of a map that is zero."""
    scatter = float(np.std(test.null))
    return (test.statistic - float(np.mean(test.null))) / scatter if scatter > 0 else 0.0
