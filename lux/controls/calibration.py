"""All verdicts of the audit against what was planted, by size of the survey, told the lines and blind.

The dense grid (`lux.controls.trial_tables`) has lines of several depths and nothing else; here are the other worlds: a
proxy, a leak, an artefact, lines that the best test sees at five standard deviations, and lines beside something else.
"""

import functools
import itertools
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
from astropy.nddata import InverseVariance
from astropy.units import AA, dimensionless_unscaled
from joblib import Parallel, delayed

from lux.auditing.audit import audit_told_and_blind
from lux.controls.ensemble import (
    BESIDES,
    CANDIDATE_LINES,
    DEPTH_BESIDE,
    DEPTH_OF_FIVE_SIGMA,
    GENERATORS,
    LABEL,
    SIZES,
    TAUS,
    WINDOWS,
)
from lux.controls.runner import SHARED
from lux.models.baselines import Mean
from lux.simulation.empirical import EmpiricalSpectra
from lux.simulation.synthetic import make_survey
from lux.simulation.worlds import World
from lux.store.products import kept_json, product_key, store_dir
from lux.survey import Survey

# Those of the ensemble, and instead of the smallest one that is smaller still.
CALIBRATED_SIZES = (500, *SIZES[1:])
# What is planted -> the verdicts that are right, told the lines and blind.
RIGHT: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "nothing": (("guessed", "undecided"), ("guessed", "undecided")),
    "lines at 5σ": (("known",), ("guessed", "undecided", "proxy")),
    "proxy": (("proxy",), ("proxy",)),
    "leak": (("leaked",), ("leaked",)),
    "artefact": (("artefact",), ("artefact",)),
    "lines and proxy": (("known",), ("proxy",)),
    "lines and leak": (("leaked",), ("leaked",)),
    "lines and artefact": (("known",), ("proxy",)),
}
_TEST_FRACTION = 0.3
# Of pixels that stand differently in each star, so many ways, within half a pixel.
_N_PHASES = 8
_Task = tuple[str, int, str, int]
_CODE = "from lux.controls.calibration import _verdicts"


def calibrate(
    n_seeds: int,
    first_seed: int,
    spectra: EmpiricalSpectra,
    n_jobs: int = 2,
    *,
    sizes: Sequence[int] = CALIBRATED_SIZES,
    kinds: Iterable[str] = tuple(RIGHT),
    resampled: bool = False,
) -> list[dict]:
    """Return verdicts, a row for each generator, size, thing planted, and "told" or not: "verdicts" by their count.

    There are `n_seeds` surveys of a kind, and twice as many without anything planted; `SHARED` seeds have the same
    stars, in all kinds. The model is the mean, which no verdict depends on unless it reads the test labels.
    `sizes` and `kinds` are the numbers of stars, and the keys of `RIGHT`, that are tried. `resampled`: the spectra come
    to the audit by `resampled_twice`. What was measured is kept for the next run.
    """
    kinds = tuple(kinds)
    places = list(itertools.product(GENERATORS, sizes))
    batches = [
        [
            (*place, planted, number)
            for planted in kinds
            for number in range(first, min(first + SHARED, n_seeds * (1 + (planted == "nothing"))))
        ]
        for place in places
        for first in range(0, 2 * n_seeds, SHARED)
    ]
    batches = [batch for batch in batches if batch]
    batches.sort(key=lambda batch: -len(batch) * batch[0][1])
    measured = Parallel(n_jobs)(delayed(_measure)(batch, first_seed, spectra, resampled) for batch in batches)
    verdicts = [
        (task, each)
        for batch, found in zip(batches, measured, strict=True)
        for task, each in zip(batch, found, strict=True)
    ]
    rows = []
    for generator, n_stars, planted in itertools.product(GENERATORS, sizes, kinds):
        found = [each for task, each in verdicts if task[:3] == (generator, n_stars, planted)]
        about = {"generator": generator, "n_stars": n_stars, "planted": planted}
        for place, told in enumerate((True, False)):
            rows.append({**about, "told": told, "verdicts": dict(Counter(each[place] for each in found))})
    return rows


def _measure(
    batch: Sequence[_Task], first_seed: int, spectra: EmpiricalSpectra, resampled: bool
) -> list[Sequence[str]]:
    """Return the verdicts in surveys that have the same stars, which are computed once, and kept."""
    source = spectra.fingerprint if spectra else ""
    key = product_key(_CODE, {"batch": batch, "seed": first_seed, "spectra": source, "resampled": resampled})
    folder = store_dir() / "verdicts"
    folder.mkdir(exist_ok=True)
    measure = functools.partial(_verdicts, first_seed=first_seed, spectra=spectra, resampled=resampled)
    return kept_json(folder / f"{key}.json", lambda: [measure(*task) for task in batch])


def _verdicts(
    generator: str,
    n_stars: int,
    planted: str,
    number: int,
    first_seed: int,
    spectra: EmpiricalSpectra,
    resampled: bool = False,
) -> tuple[str, str]:
    """Return the verdict on europium in one survey, told the candidate lines and blind."""
    empirical = generator == "empirical"
    seed = first_seed + number
    survey = make_survey(
        n_stars,
        seed,
        _world(planted, n_stars),
        tau=TAUS[1],
        star_seed=first_seed + number // SHARED,
        spectra=spectra if empirical else None,
        release="dr10" if empirical else "dr17",
        wavelength_range=WINDOWS,
    )
    if resampled:
        survey = resampled_twice(survey, seed)
    train, test = survey.split(_TEST_FRACTION, seed=seed)
    model = Mean().fit(train)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        told, blind = audit_told_and_blind(model, train, test, LABEL, CANDIDATE_LINES, seed=seed)
    return told.verdict, blind.verdict


def resampled_twice(survey: Survey, seed: int) -> Survey:
    """Return a survey whose spectra were resampled to pixels that stand differently in each star, and back.

    Neighboring pixels of the result share noise, as those of spectra do that come from other grids, and its inverse
    variances do not say so (`lux.Survey.from_spectra`). Resampled twice, they share more than they do there.
    """
    step = float(np.median(np.diff(survey.wavelength) / survey.wavelength[1:]))
    phase = np.random.default_rng(seed).integers(_N_PHASES, size=survey.n_stars)
    flux, ivar = np.empty_like(survey.flux), np.empty_like(survey.ivar)
    for each in np.unique(phase):
        rows = phase == each
        moved = survey.wavelength * (1 + step * (each / _N_PHASES - 0.5))
        there = Survey.from_spectra(_spectra(survey.wavelength, survey[rows]), wavelength=moved)
        back = Survey.from_spectra(_spectra(moved, there), wavelength=survey.wavelength)
        flux[rows], ivar[rows] = back.flux, back.ivar
    return survey.replace(flux=flux, ivar=ivar)


def _spectra(wavelength: np.ndarray, survey: Survey) -> list[Any]:
    """Return the spectra of a survey, as specutils would have them."""
    uncertainty = InverseVariance(survey.ivar)
    flux = survey.flux * dimensionless_unscaled
    return [SimpleNamespace(spectral_axis=wavelength * AA, flux=flux, uncertainty=uncertainty)]


def _world(planted: str, n_stars: int) -> World:
    """Return the world of a name of `RIGHT`; lines of a significance are weaker where there are more stars."""
    if planted == "lines at 5σ":
        return World("signal", depth=DEPTH_OF_FIVE_SIGMA * float(np.sqrt(SIZES[0] / n_stars)))
    besides = BESIDES.get(planted.removeprefix("lines and "), ())
    if planted.startswith("lines and "):
        return World("signal", depth=DEPTH_BESIDE, also=besides)
    return World("shortcut", also=besides)
