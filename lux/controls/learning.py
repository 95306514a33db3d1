"""Which lines a latent-variable model learns: what a latent gains by them, beside what its weakest latent gains.

Power is what a pattern changes in the flux of the training stars, in units of the noise, squared and summed over stars
and pixels: the chi-square that it costs to leave the pattern out. Of N stars, let p be a pattern's power in each pixel
per star. Without a latent the fitted scatter of the pixels takes it for noise; with one the log-likelihood is larger,
by

    N / 2 [sum log(1 + p) - log(1 + sum p)],

and for a pattern that is weak in every pixel by N / 2 [q - log(1 + q)] with q the sum of p: the case of one noise in
all pixels (Tipping & Bishop 1999, JRSS B 61, 611). Maximum likelihood gives its few latents to what gains most, so that
lines which gain less than the weakest latent should be left out, however significant they are. Here that is tried:
lines of several depths, surveys with and without their richest stars, spectra in windows and whole, models of more and
fewer latents.
"""

import dataclasses
import itertools
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from lux.controls.ensemble import WINDOWS, Cell
from lux.controls.model_trial import MODELS
from lux.controls.techniques import OURS, make_world, published_model, use_of_model
from lux.models.lux import Lux
from lux.simulation.empirical import EmpiricalSpectra
from lux.simulation.synthetic import make_survey
from lux.simulation.worlds import World
from lux.spectroscopy.instrument import on_chip, wavelength_grid
from lux.statistics import quadratic_terms
from lux.survey import Survey

# Depths of lines in windows and in whole spectra.
DEPTHS = {False: (0.003, 0.005, 0.01), True: (0.01, 0.02, 0.03)}
# The depth at which a star is lent, to the model of so many latents.
LENT_DEPTH, N_LATENTS = 0.01, 21
# Of the default fit; the published one has `N_LATENTS`.
LATENTS = (11, N_LATENTS, 41)
# Models beside it; those that take long are trained once a survey.
QUICK, SLOW = ("PLS", "Cannon"), ("dense network",)
_TOLERANCE, _N_RICH = 0.02, 40
# Of the stars, as in `lux.controls.techniques.make_world`.
_TEST_FRACTION = 0.3
# Recipes, and how many latents they have.
_KINDS = (*(("default", n_latents) for n_latents in LATENTS), ("published", N_LATENTS))
_COLUMNS = ("flux", "ivar", "labels", "label_err")
_Row = dict[str, Any]


def powers_of_latents(model: Lux) -> np.ndarray:
    """Return the powers (P,) of a model's latents over its training stars, largest first, whatever its gauge."""
    root = np.linalg.cholesky(np.cov(model.latents_, rowvar=False))
    whitened = np.sqrt(model.weight_)[:, None] * (model.B_ @ root)
    return len(model.latents_) * np.linalg.eigvalsh(whitened.T @ whitened)[::-1]


def own_power(change: np.ndarray, ivar: np.ndarray, others: np.ndarray, ordinary: np.ndarray) -> np.ndarray:
    """Return the power (N, D) of lines in each star and pixel, beyond what other labels tell.

    Parameters
    ----------
    change, ivar : (N, D) array
        What the lines change in the flux, without noise, and the inverse variance of that.
    others : (N, M) array
        True labels; what their linear and quadratic terms tell of the change is not the lines' own.
    ordinary : (N,) boolean array
        Stars from which that is learned.
    """
    design = np.column_stack([np.ones(len(others)), quadratic_terms(others)])
    own = change - design @ np.linalg.lstsq(design[ordinary], change[ordinary])[0]
    return own**2 * ivar


def gain_of_lines(power: float, scattered: float, n_stars: int) -> float:
    """Return by how much a latent for lines raises the log-likelihood.

    `power` and `scattered` are those of `measure_learning`, as if of equal pixels, as many as give both.
    """
    each = power / scattered - 1
    n_pixels = scattered / n_stars * (1 + each) / each
    return n_stars / 2 * float(n_pixels * np.log1p(each) - np.log1p(n_pixels * each))


def gain_of_latent(power: float, n_stars: int, n_pixels: int, *, shrunk: bool) -> float:
    """Return by how much a latent of that power, `powers_of_latents`, raises the log-likelihood, without its noise.

    Latents that are known from noisy flux vary less than the truth if they are posterior means (`shrunk`), and more if
    they are maximum-likelihood estimates. Loadings from few stars hold noise: of a true power q per star a fit shows
    q + r + r / q, with r pixels per star, and never less than noise alone does, of which q = sqrt(r) is taken (Baik &
    Silverstein 2006, J. Multivariate Anal. 97, 1382).
    """
    shown, ratio = power / n_stars, n_pixels / n_stars
    shown = (shown + np.sqrt(shown**2 + 4 * shown)) / 2 if shrunk else shown - 1
    beyond = max(shown - ratio, 2 * np.sqrt(ratio))
    true = (beyond + np.sqrt(beyond**2 - 4 * ratio)) / 2
    return n_stars / 2 * float(true - np.log1p(true))


def measure_learning(
    cell: Cell, seed: int, star_seed: int, spectra: EmpiricalSpectra | None = None
) -> dict[str, str | int | list[_Row]]:
    """Return how models use lines of every depth, and what power these have.

    Arguments are those of `lux.controls.techniques.measure`, of a cell without lines; the stars are those of `seed`.
    Each of the "rows" has "depth", "recipe" ("default" or "published"), "n_latents", "stars" ("all", "without rich" or
    "one lent"), "n_rich" of the training stars, "power" of the lines, what is left of it, "scattered", where each pixel
    has taken its part for noise, and "richest" of one star in it, "weakest" of the latents that the same model has
    without the lines, and `lux.controls.techniques.use_of_model`.
    """
    del star_seed
    twin = make_world(cell, seed, seed, spectra)
    rows = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        weakest = {kind: float(powers_of_latents(_fit(twin.train, *kind))[-1]) for kind in _KINDS}
        for depth in DEPTHS[cell.full_band]:
            made = make_world(dataclasses.replace(cell, world=World("signal", depth=depth)), seed, seed, spectra)
            everything = _sample(made.train, made.train.flux - twin.train.flux)
            samples = {"all": everything}
            if everything.rich.any():
                samples["without rich"] = everything[~everything.rich]
            if cell.full_band and depth == LENT_DEPTH:
                samples["one lent"] = _with_rich_star(
                    samples.get("without rich", samples["all"]), cell, seed, made.options, depth
                )
            for (stars, sample), kind in itertools.product(samples.items(), _KINDS):
                if stars != "all" and kind[1] != N_LATENTS:
                    continue
                use = use_of_model(_fit(sample.survey, *kind), made.test, made.enhanced)
                about = {"depth": depth, "recipe": kind[0], "n_latents": kind[1], "stars": stars}
                rows.append(about | sample.powers() | {"weakest": weakest[kind]} | use)
    return {"cell": cell.key, "seed": seed, "rows": rows}


def measure_others(
    cell: Cell, seed: int, star_seed: int, spectra: EmpiricalSpectra | None = None
) -> dict[str, str | int | list[_Row]]:
    """Return how models of other kinds use the lines of a cell, in the surveys of `measure_learning`.

    Each of the "rows" has "depth", "model", "stars" ("all" or "without rich") and `use_of_model`. The `SLOW` ones are
    trained where there are lines, on all stars.
    """
    del star_seed
    made = make_world(cell, seed, seed, spectra)
    truth = made.train.truth
    assert truth is not None, "simulated surveys have their truth"
    rich = truth.columns["r_enhanced"].astype(bool)
    rows = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for stars, kept in (("all", made.train), ("without rich", made.train[~rich])):
            if stars != "all" and not (cell.depth and rich.any()):
                continue
            for name in (*QUICK, *(SLOW if cell.depth and stars == "all" else ())):
                use = use_of_model(MODELS[name](kept, seed), made.test, made.enhanced)
                rows.append({"depth": cell.depth, "model": name, "stars": stars, **use})
    return {"cell": cell.key, "seed": seed, "rows": rows}


def learning_rows(ensemble: Sequence[Cell], worlds: Sequence[Mapping[str, Any]]) -> Iterator[_Row]:
    """Yield the rows of all worlds that `measure_learning` or `measure_others` returned.

    Each has its "generator", "full_band" and "seed" too, and those of the former "gain" and "weakest_gain": of the
    lines, and of the weakest latent that the model has without them.
    """
    cells = {cell.key: cell for cell in ensemble}
    for world in worlds:
        cell = cells[world["cell"]]
        about = {"generator": cell.generator, "full_band": cell.full_band, "seed": world["seed"]}
        yield from (about | row | (_gains(cell, row) if "power" in row else {}) for row in world["rows"])


def _gains(cell: Cell, row: Mapping[str, Any]) -> dict[str, float]:
    grid = wavelength_grid()[on_chip("dr10" if cell.generator == "empirical" else "dr17")]
    within = [(low <= grid) & (grid <= high) for low, high in WINDOWS]
    n_pixels = len(grid) if cell.full_band else int(np.any(within, axis=0).sum())
    n_stars = round((1 - _TEST_FRACTION) * cell.n_stars)
    shrunk = row["recipe"] == "default"
    return {
        "gain": gain_of_lines(row["power"], row["scattered"], n_stars),
        "weakest_gain": gain_of_latent(row["weakest"], n_stars, n_pixels, shrunk=shrunk),
    }


@dataclasses.dataclass(frozen=True)
class _Sample:
    """Training stars, what the lines change in their flux (N, D), their true other labels, and which are rich."""

    survey: Survey
    change: np.ndarray
    others: np.ndarray
    rich: np.ndarray

    def __getitem__(self, stars: np.ndarray) -> "_Sample":
        return _Sample(self.survey[stars], self.change[stars], self.others[stars], self.rich[stars])

    def powers(self) -> dict[str, float | int]:
        lines = np.any(self.change != 0, axis=0)
        power = own_power(self.change[:, lines], self.survey.ivar[:, lines], self.others, ~self.rich)
        each = power.mean(axis=0)
        return {
            "n_rich": int(self.rich.sum()),
            "power": float(power.sum()),
            "scattered": float(len(power) * np.sum(each / (1 + each))),
            "richest": float(power.sum(axis=1).max()),
        }


def _sample(train: Survey, change: np.ndarray) -> _Sample:
    truth = train.truth
    assert truth is not None, "simulated surveys have their truth"
    others = np.delete(truth.labels, train.label_index("eu_fe"), axis=1)
    return _Sample(train, change.astype(float), others, truth.columns["r_enhanced"].astype(bool))


def _with_rich_star(sample: _Sample, cell: Cell, seed: int, options: Mapping[str, Any], depth: float) -> _Sample:
    """Return a sample with one star more: that of 40 of population r-II in which the lines change most."""
    of_rich = {"population": "r-II", **options, "star_seed": seed + 900}
    rich, bare = (
        make_survey(_N_RICH, seed + 900, world, **of_rich) for world in (World("signal", depth=depth), cell.world)
    )
    lent = _sample(rich, rich.flux - bare.flux)
    row = [int(np.argmax(np.sum(lent.change**2 * rich.ivar, axis=1)))]
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(sample.survey, name), getattr(rich, name)[row]]) for name in _COLUMNS
    }
    survey = Survey(wavelength=rich.wavelength, label_names=rich.label_names, **columns)
    both = (np.concatenate([getattr(sample, name), getattr(lent, name)[row]]) for name in ("change", "others", "rich"))
    return _Sample(survey, *both)


def _fit(train: Survey, recipe: str, n_latents: int) -> Lux:
    if recipe == "published":
        return published_model(train, n_latents=n_latents)
    return Lux(**{**OURS, "tolerance": _TOLERANCE, "n_latents": n_latents}).fit(train)
