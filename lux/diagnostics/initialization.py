r"""What an unfinished fit of new stars hands back of the values it began with.

The latents of new stars follow from the flux alone, :math:`(B^T W B + \Lambda) z = B^T W (f - b)`. The public notebooks
of the published study (Horta et al. 2025, AJ 169, 314) start them at the stars' own labels and minimize over all stars
at once by L-BFGS. Where the flux hardly fixes a latent the gradient is small, and what was put in stays for long. The
test is a canary: a label of random numbers, of which the flux knows nothing.
"""

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import minimize

from lux.models.normal_equations import packed_products, unpack_symmetric
from lux.models.weights import pixel_weight
from lux.survey import Survey

if TYPE_CHECKING:
    from lux.models.lux import Lux

CANARY = "canary"


def with_canary(survey: Survey, seed: int = 0) -> Survey:
    """Return a survey with one label more, standard normal random numbers with an error of 0.1, and without truth."""
    noise = np.random.default_rng([seed, survey.n_labels]).normal(size=(survey.n_stars, 1))
    return survey.replace(
        labels=np.append(survey.labels, noise, axis=1),
        label_err=np.append(survey.label_err, np.full_like(noise, 0.1), axis=1),
        label_names=(*survey.label_names, CANARY),
        label_units=(*survey.label_units, ""),
        truth=None,
    )


def unfinished_latents(model: "Lux", survey: Survey, start: np.ndarray, steps: Sequence[int]) -> np.ndarray:
    """Return the latents of stars given flux alone after numbers of steps of a joint minimization, (S, N, P).

    Parameters
    ----------
    model : Lux
        Fitted.
    survey : Survey
        New stars; their labels are not looked at.
    start : (N, P) array
        Latents to begin with, such as `lux.models.starts.labels_as_latents`.
    steps : sequence of S int
        After how many steps of L-BFGS (`scipy.optimize.minimize`) to look, in increasing order; 0 is the start. Where
        the minimization ends before, its last latents.
    """
    weight = pixel_weight(survey.ivar.astype(float), model.scatter_**2)
    curvature = unpack_symmetric(weight @ packed_products(model.B_), start.shape[1]) + model.prior_precision_
    moment = (weight * (survey.flux - model.b_)) @ model.B_
    taken, number = {0: start}, itertools.count(1)

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        latents = flat.reshape(start.shape)
        bent = np.einsum("nij,nj->ni", curvature, latents)
        return float(np.sum(latents * (0.5 * bent - moment))), (bent - moment).ravel()

    def keep(flat: np.ndarray) -> None:
        if (step := next(number)) in steps:
            taken[step] = flat.reshape(start.shape).copy()

    options = {"maxiter": steps[-1], "maxfun": 20 * steps[-1], "ftol": 0, "gtol": 0}
    last = minimize(loss, start.ravel(), jac=True, method="L-BFGS-B", callback=keep, options=options).x
    return np.stack([taken.get(step, last.reshape(start.shape)) for step in steps])
