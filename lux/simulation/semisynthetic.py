"""Observed spectra with a planted label: real flux, a europium that we made, and, where wanted, its lines in that flux.

What simulators lack is all here: real lines, real noise, real sky, real blends. The true [Eu/Fe] of each star follows
from its catalogue [M/H] and [alpha/M] by the disc's relation (`lux.simulation.population`) and a scatter of its own;
the catalogue's [Eu/Fe] adds an error. Lines are planted into the observed flux with the instrument's profile, by
`lux.simulation.worlds`.
"""

import dataclasses

import numpy as np

from lux.simulation.observation import draw_label_errors, draw_label_noise
from lux.simulation.population import Stars, expected_europium, random_stream
from lux.simulation.worlds import Sample, World, as_world, plant
from lux.spectroscopy import airglow
from lux.spectroscopy.instrument import nearest_pixel
from lux.survey import Survey, Truth

_LABEL = "eu_fe"
_WORLDS = ("shortcut", "signal", "leak", "artefact")
_KEPT_LABELS = ("teff", "logg", "m_h", "alpha_m")


def plant_europium(survey: Survey, world: str | World = "shortcut", *, tau: float = 0.06, seed: int = 0) -> Survey:
    """Return a survey of observed spectra with a planted label [Eu/Fe].

    Parameters
    ----------
    survey : Survey
        On pixels of the APOGEE grid, with labels teff, logg, m_h and alpha_m.
    world : str or World
        "shortcut": the flux is as observed. "signal": lines whose strength follows the planted europium are multiplied
        into it. "leak": lines that follow the error of the catalogue's [Eu/Fe]. "artefact": residuals of airglow that
        follow it above its expectation, moved by the stars' velocities (`lux.spectroscopy.airglow`).
    tau : float
        Scatter of [Eu/Fe] about the relation, dex.
    seed : int
        Of the scatter, the errors and their noise. Worlds of one seed differ in the flux of the planted lines only.

    Returns
    -------
    Survey
        With the labels teff, logg, m_h, alpha_m, eu_fe, and a `truth` that knows the planted label (the others are the
        catalogue's).

    Raises
    ------
    ValueError
        If the world cannot be planted in observed spectra, or a label is missing.
    """
    world = as_world(world)
    foreign = [part.name for part in world.parts if part.name not in _WORLDS]
    if foreign:
        raise ValueError(f"{foreign[0]!r} cannot be planted in observed spectra; choose one of {', '.join(_WORLDS)}")
    columns = {name: survey.label(name) for name in _KEPT_LABELS}
    missing = next((name for name, values in columns.items() if not np.all(np.isfinite(values))), None)
    if missing is not None:
        star = survey.star_id[int(np.argmin(np.isfinite(columns[missing])))]
        raise ValueError(f"star {star} lacks {missing}; leave out the stars without it")
    moves = any(part.name == "artefact" for part in world.parts)
    stars = _stars(columns, airglow.observed_velocity(survey) if moves else np.zeros(survey.n_stars), tau, seed)
    noise = draw_label_noise(survey.n_stars, (_LABEL,), seed)[:, 0]
    error = draw_label_errors(survey.n_stars, (_LABEL,), seed)[0][:, 0]
    pixels = nearest_pixel(survey.wavelength)
    flux = plant(world, survey.flux, pixels, Sample(base=stars, stars=stars, tau=tau, label_noise=noise))
    kept = survey.select_labels(_KEPT_LABELS)
    truth = Truth(
        labels=np.column_stack([*columns.values(), stars.abundances["Eu"]]),
        world=world.describe(tau),
        columns={"eu_residual": stars.abundances["Eu"] - stars.eu_expected, "eu_fe": stars.abundances["Eu"]},
    )
    return dataclasses.replace(
        kept,
        # A masked pixel keeps its place holder.
        flux=np.where(survey.ivar > 0, flux, survey.flux),
        labels=np.column_stack([kept.labels, stars.abundances["Eu"] + error * noise]),
        label_err=np.column_stack([kept.label_err, error]),
        label_names=(*_KEPT_LABELS, _LABEL),
        label_units=(*kept.label_units, "dex"),
        truth=truth,
        provenance={**survey.provenance, "planted": world.describe(tau)["planted"], "planted_seed": seed},
    )


def _stars(columns: dict[str, np.ndarray], observed_velocity: np.ndarray, tau: float, seed: int) -> Stars:
    expected = expected_europium(columns["m_h"], columns["alpha_m"])
    nothing = np.zeros(len(expected))
    europium = expected + tau * random_stream(seed, "europium scatter").standard_normal(len(expected))
    return Stars(
        teff=columns["teff"],
        logg=columns["logg"],
        fe_h=columns["m_h"],
        alpha_fe=columns["alpha_m"],
        abundances={"Eu": europium},
        eu_expected=expected,
        radial_velocity=nothing,
        observed_velocity=observed_velocity,
        component=np.full(len(expected), "observed"),
        r_enhanced=nothing.astype(bool),
    )
