"""The published recipe varied: what its choices do to what the published study said.

The study's fit has choices that nothing in its text rests on: rounds of alternating least squares, the number of
latents, the width of the prior. Here each is changed alone, in surveys of the study's size, with and without lines.
"""

import functools
import itertools
import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from joblib import Parallel, delayed

from lux.controls import scores
from lux.controls.ensemble import CANDIDATE_LINES, GENERATORS, SIZES, TAUS, WINDOWS
from lux.controls.techniques import STATEMENTS, TECHNIQUES, published_model, published_statistics
from lux.simulation.empirical import EmpiricalSpectra
from lux.simulation.synthetic import make_survey
from lux.simulation.worlds import World

# Name of a recipe -> what it changes of the published one.
RECIPES: dict[str, dict[str, Any]] = {
    "as published": {},
    "2 rounds": {"max_cycles": 2},
    "20 rounds": {"max_cycles": 20},
    "10 latents": {"n_latents": 10},
    "40 latents": {"n_latents": 40},
    "prior of width 1": {"omega": 1.0},
}
DEPTHS = (0.0, 0.01)
_TEST_FRACTION, _LEVEL = 0.3, 0.95
_Row = dict[str, Any]


def vary(n_seeds: int, first_seed: int, spectra: EmpiricalSpectra, n_jobs: int = 2) -> list[_Row]:
    """Return what each recipe gives, a row for each recipe, generator and number.

    Of a statistic the "area" between surveys with lines of 1 % per standard deviation and surveys without, with its
    95 % interval; of a statement how often it is "true" at each depth, of how many. Surveys have 4000 stars, each its
    own, the same for all recipes.
    """
    tasks = list(itertools.product(GENERATORS, DEPTHS, range(n_seeds)))
    measured = Parallel(n_jobs)(delayed(_measure)(*task, first_seed, spectra) for task in tasks)
    found = dict(zip(tasks, measured, strict=True))
    rows = []
    for generator, recipe in itertools.product(GENERATORS, RECIPES):
        worlds = {depth: [found[generator, depth, seed][recipe] for seed in range(n_seeds)] for depth in DEPTHS}
        rows += [{"generator": generator, "recipe": recipe, **row} for row in _rows(worlds)]
    return rows


def _measure(
    generator: str, depth: float, number: int, first_seed: int, spectra: EmpiricalSpectra
) -> dict[str, dict[str, float]]:
    """Return the published statistics and statements in one survey, by recipe."""
    world = World("signal", depth=depth, wavelengths=CANDIDATE_LINES) if depth else World("shortcut")
    empirical = generator == "empirical"
    survey = make_survey(
        max(SIZES),
        first_seed + number,
        world,
        tau=TAUS[1],
        spectra=spectra if empirical else None,
        release="dr10" if empirical else "dr17",
        wavelength_range=WINDOWS,
    )
    train, test = survey.split(_TEST_FRACTION, seed=first_seed + number)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        statistics = functools.partial(published_statistics, test=test, seed=first_seed + number)
        return {name: statistics(published_model(train, **changes)) for name, changes in RECIPES.items()}


def _rows(worlds: Mapping[float, Iterable[Mapping[str, float]]]) -> Iterable[_Row]:
    without, planted = (list(worlds[depth]) for depth in DEPTHS)
    for name in without[0]:
        values = [np.array([world[name] for world in each], float) for each in (without, planted)]
        if name in TECHNIQUES:
            area = scores.score(values[1], values[0], level=_LEVEL).auc
            yield {"statistic": name, "area": [area.value, area.low, area.high]}
        elif name in STATEMENTS:
            yield {"statement": name, "true": [int(each.sum()) for each in values], "of": len(without)}
