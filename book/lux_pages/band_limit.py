"""Numbers and the table of what the H band can know of europium, and the simulation that checks them."""

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.stats import norm

from lux.auditing import AuditSettings, Report
from lux.auditing.audit import audit_told_and_blind
from lux.models.lux import Lux
from lux.paper.record import Record
from lux.paper.setup import Chapter, Fitted, default_survey
from lux.simulation.neighbors import Readings, learned_slope, read_lines, stars_to_find
from lux.simulation.observation import Observation, draw_label_errors, draw_snr
from lux.simulation.population import draw_stars
from lux.spectroscopy.instrument import nearest_pixel, on_chip
from lux.statistics import Estimate, bootstrap, quadratic_terms
from lux.survey import Survey

# Europium's own scatter, dex: as in the survey, and the range of the literature.
TAU, _TAUS = 0.06, (0.03, 0.06, 0.10)
_SETTINGS = AuditSettings()
# Around each line the simulation keeps so many Angstrom; the lines of rubidium near 15293 A stay outside.
_WINDOW = 8.0


@dataclass(frozen=True)
class BandLimit:
    """What the natural lines of europium's neighbors allow in full APOGEE spectra of disc giants.

    Parameters
    ----------
    readings : Readings
    errors : (K,) array
        Of the catalogue's [Eu/Fe], dex.
    n_latents, n_pixels : int
        What a model must choose from: its latents, or all pixels.
    """

    readings: Readings
    errors: np.ndarray
    n_latents: int = 21
    n_pixels: int = int(np.count_nonzero(on_chip()))

    def of(self, species: str) -> Readings:
        """Return the readings of the lines of one species alone."""
        return self.readings[np.flatnonzero(self.readings.species == species)]

    def numbers(self, tau: float, *, scatter: bool = True) -> dict[str, float]:
        """Return the share that can be known and the numbers of stars that a test and a model need."""
        everything = self.readings.agreement(tau, self.errors, scatter=scatter)
        alone = {name: self.of(name).agreement(tau, self.errors, scatter=scatter) for name in ("Ce II", "Yb II")}
        anywhere = float(norm.isf(_SETTINGS.significance / 2 / self.n_pixels))
        at_lines = float(norm.isf(_SETTINGS.significance_at_own_lines))
        return {
            "share": float(np.mean(self.readings.share(tau, scatter=scatter))),
            "stars_given": stars_to_find(everything, at_lines, _SETTINGS.power),
            "stars_blind": stars_to_find(alone["Yb II"], anywhere, _SETTINGS.power),
            "stars_latents": self.n_latents / alone["Ce II"],
            "stars_pixels": self.n_pixels / everything,
        }

    def curves(self, n_stars: np.ndarray) -> dict[str, np.ndarray]:
        """Return the expected slope on europium's own scatter of two models trained on so many stars (K,)."""
        found = {}
        for name, lines, n_features in (
            (f"cerium, {self.n_latents} latents", self.of("Ce II"), self.n_latents),
            ("all lines, all pixels", self.readings, self.n_pixels),
        ):
            share, agreement = float(np.mean(lines.share(TAU))), lines.agreement(TAU, self.errors)
            found[name] = learned_slope(n_stars, n_features, share, agreement)
        return found


def band_limit(chapter: Chapter) -> BandLimit:
    """Return what the band can know of europium, from a sample of disc giants at the survey's noise."""
    n_stars, observation = 8 if chapter.quick else 64, Observation()
    stars = draw_stars(n_stars, chapter.seed + 3000, r_enhanced_fraction=0.0)
    errors = draw_label_errors(1000, ("eu_fe",), chapter.seed + 3000)[0][:, 0]
    return BandLimit(read_lines(stars, draw_snr(n_stars, chapter.seed + 3000, observation), observation), errors)


@dataclass(frozen=True)
class Simulated:
    """A survey around the neighbors' lines in which they follow europium, with a model and two audits of it."""

    fitted: Fitted
    blind: Report
    given: Report
    limit: BandLimit

    @cached_property
    def slope(self) -> Estimate:
        """Slope of the predictions of half the stars on europium's own scatter, the other labels' part taken out."""
        truth = self.fitted.test.truth.columns
        others = quadratic_terms(np.stack([truth[name] for name in ("teff", "logg", "fe_h", "alpha_fe")], axis=1))
        design = np.column_stack([np.ones(len(others)), others])
        predicted = self.fitted.prediction.label("eu_fe")
        own = predicted - design @ np.linalg.lstsq(design, predicted)[0]

        def slope(x: np.ndarray, y: np.ndarray) -> np.ndarray:
            return np.sum(x * y, axis=-1) / np.sum(x**2, axis=-1)

        return bootstrap(slope, truth["eu_residual"], own, level=0.95)

    @property
    def lines(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Expected and measured significance of the lines of each species, standard deviations."""
        readings, significance, found = self.limit.readings, self.given.significance, {}
        assert significance is not None, "there are stars enough to audit"
        places = np.searchsorted(nearest_pixel(self.fitted.test.wavelength), nearest_pixel(readings.wavelength))
        for species in np.unique(readings.species):
            rows = np.flatnonzero(readings.species == species)
            agreement = [readings[np.array([row])].agreement(TAU, self.limit.errors) for row in rows]
            found[str(species)] = np.sqrt(self.given.n_stars * np.array(agreement)), significance[places[rows]]
        return found


def simulate(chapter: Chapter, limit: BandLimit) -> Simulated:
    """Simulate a survey in which Ce, Nd and Yb share europium's own scatter, and audit a model of it."""
    windows = [(line - _WINDOW, line + _WINDOW) for line in limit.readings.wavelength]
    options: dict[str, Any] = {"n_stars": 1500 if chapter.quick else 12_000, "seed": chapter.seed + 3001, "tau": TAU}
    options |= {"r_process_neighbors": True, "r_enhanced_fraction": 0.0, "wavelength_range": windows}
    fitted = chapter.fitted(default_survey("synthetic", **options))
    lines = tuple(limit.readings.wavelength.tolist())
    given, blind = audit_told_and_blind(fitted.model, fitted.train, fitted.test, "eu_fe", lines, seed=chapter.seed)
    return Simulated(fitted, blind, given, limit)


def record_latents(record: Record, model: Lux, survey: Survey) -> None:
    """Record the share of the scatter of Ce, Nd and Yb about iron and alpha that the latents of a survey explain."""
    truth = survey.truth.columns
    others = np.column_stack([np.ones(survey.n_stars), truth["fe_h"], truth["alpha_fe"]])
    latents = np.column_stack([others, model.infer_latents(survey)])
    for element in ("ce", "nd", "yb"):
        own, unexplained = (
            np.sum((truth[f"{element}_fe"] - each @ np.linalg.lstsq(each, truth[f"{element}_fe"])[0]) ** 2)
            / (survey.n_stars - each.shape[1])
            for each in (others, latents)
        )
        record(f"latents_{element}", 100 * max(0.0, 1 - unexplained / own), unit="%", digits=2)


def record_band_limit(record: Record, limit: BandLimit) -> None:
    """Record what the band can know of europium and how many stars it takes, with the table over its own scatter."""
    bound, n_lines = limit.readings.bound(), len(limit.readings.species)
    record("n_lines", n_lines)
    scatter = np.sqrt(np.diag(limit.readings.own_scatter))
    record("own_scatter", scatter.min(), text=f"{scatter.min():.2f} to {scatter.max():.2f} dex")
    record("ytterbium_place", limit.of("Yb II").wavelength[0], unit="Å", digits=6)
    record("half_of_cerium", 0.5 * np.mean(limit.of("Ce II").share(TAU)), digits=2)
    perfect = dataclasses.replace(limit.readings, covariance=1e-9 * np.eye(n_lines)[None])
    record("bound", np.median(bound), unit="dex", interval=tuple(np.percentile(bound, [16, 84])))
    record("bound_perfect", perfect.bound()[0], unit="dex", digits=2)
    cases = [(f"{tau:.2f}", limit.numbers(tau)) for tau in _TAUS]
    cases.append((f"{TAU:.2f}, nothing else moves them", limit.numbers(TAU, scatter=False)))
    low, value, high = (numbers for _, numbers in cases[:3])
    record("share", 100 * value["share"], unit="%", interval=(100 * low["share"], 100 * high["share"]))
    for key in list(value)[1:]:
        text = f"{_rounded(value[key])} [{_rounded(high[key])}, {_rounded(low[key])}]"
        record(key, value[key], interval=(high[key], low[key]), text=text)
    headings = {
        "share": "can be known (%)", "stars_given": "audit, given the lines", "stars_blind": "audit, blind",
        "stars_latents": "model, through cerium", "stars_pixels": "model, from all pixels",
    }  # fmt: skip
    columns = {"own scatter (dex)": [name for name, _ in cases]}
    for key, heading in headings.items():
        cells = [numbers[key] for _, numbers in cases]
        columns[heading] = [f"{100 * cell:.2g}" if key == "share" else _rounded(cell) for cell in cells]
    record.table("band_limit", columns)


def record_simulated(record: Record, simulated: Simulated) -> None:
    """Record what the simulation found beside what was expected."""
    expected, measured = (np.concatenate(each) for each in zip(*simulated.lines.values(), strict=True))
    record("simulated_stars", simulated.given.n_stars)
    record("simulated_train", simulated.fitted.train.n_stars)
    record("expected_significance", float(np.mean(expected)), sampling_error=1 / np.sqrt(len(expected)))
    record("measured_significance", float(np.mean(measured)), uncertainty=1 / np.sqrt(len(measured)))
    record("verdict_blind", simulated.blind.verdict)
    record("verdict_given", simulated.given.verdict)
    record("strongest_blind", simulated.blind.strongest, unit="Å", digits=6)
    record.estimate("simulated_slope", simulated.slope)


def _rounded(value: float) -> str:
    """Write a number of stars to two digits, with commas."""
    return f"{int(float(f'{value:.1e}')):,}"
