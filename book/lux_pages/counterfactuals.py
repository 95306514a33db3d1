"""Numbers and tables of the chapter on counterfactual spectra."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lux.diagnostics import counterfactuals, detection_limits, matching
from lux.diagnostics.counterfactuals import DoppelgangerTest, Stack
from lux.diagnostics.detection_limits import DetectionLimit
from lux.figures import label_text
from lux.models.lux import Lux
from lux.models.prediction import Prediction
from lux.paper.record import Record
from lux.paper.setup import Chapter
from lux.simulation.heavy_species import natural_depths
from lux.simulation.population import expected_enhanced
from lux.simulation.strengths import line_strengths
from lux.simulation.worlds import ARTEFACT_WAVELENGTHS, PLANTED_WAVELENGTHS, Signal, World
from lux.spectroscopy import airglow
from lux.spectroscopy.instrument import SPEED_OF_LIGHT_KMS
from lux.spectroscopy.line_detection import equivalent_width
from lux.spectroscopy.lines import airglow_lines, heavy_element_lines
from lux.statistics import quadratic_terms
from lux.survey import Survey
from lux_pages.saliency import around_the_peak

_TWINS = ("most enriched", "first doppelganger", "second doppelganger")
_OUTLIER = 5.0
# Sizes of survey among which the richest star is chosen, the last that of the published study; and the change of flux
# per standard deviation of [Eu/Fe] of the lines looked for.
_SIZES, _DEPTHS = (600, 4000, 50_000), (0.01, 0.03)
# Half the width of the stretch around a wavelength in which a pixel counts as near, Angstrom.
_NEAR = 5.0
# A limit that no line could exceed, for it would be deeper than the flux.
_NO_LIMIT = "beyond any line"

Limits = Mapping[str, DetectionLimit]


@dataclass(frozen=True)
class SkyPixels:
    """Which pixels (T, D) of each comparison lie near airglow, and which of them are outliers."""

    near: np.ndarray
    outliers: np.ndarray

    @property
    def count(self) -> int:
        """How many outliers there are."""
        return int(np.count_nonzero(self.outliers))

    @property
    def count_near(self) -> int:
        """How many outliers lie near airglow."""
        return int(np.count_nonzero(self.outliers & self.near))


def sky_pixels(test: DoppelgangerTest, survey: Survey, velocity: np.ndarray) -> SkyPixels:
    """Return the pixels near airglow in the frame of the star or of its doppelganger; `velocity` (N,) is in km/s."""
    sky = airglow.near_airglow(survey.wavelength, velocity)
    beyond = np.abs(test.residual / test.residual_err) > _OUTLIER
    return SkyPixels(sky[test.twins] | sky[test.star], beyond & np.isfinite(test.residual_err))


def record_one_star(record: Record, test: DoppelgangerTest, sky: SkyPixels, survey: Survey, name: str) -> None:
    """Record the published test: the star, its doppelgangers, and what their spectra differ by."""
    rows = [test.star, *test.twins]
    columns: dict[str, Any] = {"star": list(_TWINS), "distance": [0.0, *test.distances]}
    columns |= {label_text(label): survey.label(label)[rows] for label in survey.label_names}
    formats = {heading: ".0f" if "(K)" in heading else ".2f" for heading in columns if heading != "star"}
    record.table("twins", columns, formats=formats)
    record("star_label", survey.label(name)[test.star], unit="dex", digits=2)
    record.numbers(outliers=sky.count, outliers_sky=sky.count_near, n_ordinary=len(test.largest.null))
    record("sky_share", 100 * np.mean(sky.near), unit="%", digits=2)
    largest = test.largest
    record.numbers(digits=2, one_largest=largest.statistic, one_threshold=largest.threshold(), one_p=largest.p_value)


def record_peak(
    record: Record, test: DoppelgangerTest, survey: Survey, velocity: np.ndarray
) -> tuple[list, np.ndarray]:
    """Record how the star and its doppelgangers differ near the peak of the published map of europium.

    Returns
    -------
    marks : list of (float, str)
        Lines of the stars there, and where the air wavelength of cesium would put its line; vacuum Angstrom.
    sky : (3,) array
        Where the airglow line falls in the rest frame of the star and of its doppelgangers.
    """
    around, rows = around_the_peak(), [test.star, *test.twins]
    stellar, _, air = around.marks
    sky = around.glow.wavelength / (1 + velocity[rows] / SPEED_OF_LIGHT_KMS)
    inside = np.abs(survey.wavelength - around.glow.wavelength) < _NEAR
    record("peak_sigma", float(np.max(np.abs(test.residual / test.residual_err)[:, inside])), digits=2)
    record("peak_sky", f"{sky.min():.1f} to {sky.max():.1f} Å")
    record("peak_place", around.glow.wavelength, unit="Å", text=f"{around.glow.wavelength:.2f} Å")
    return [*stellar, *air], sky


def record_one_star_limits(
    record: Record, one: DoppelgangerTest, survey: Survey, name: str, seed: int
) -> dict[str, Limits]:
    """Record what the published test could have shown, with its star and without the stars highest in the label.

    Returns
    -------
    dict of test to limits
    """
    abundance = detection_limits.relative_abundance(survey, name, seed)
    common = survey[~(survey.label(name) > np.nanpercentile(survey.label(name), 99))]
    ordinary = counterfactuals.doppelganger_test(common, name, seed=seed)
    common_abundance = detection_limits.relative_abundance(common, name, seed)
    published = detection_limits.doppelganger_limits(survey, one, abundance, seed=seed)
    without = detection_limits.doppelganger_limits(common, ordinary, common_abundance, seed=seed)
    record.numbers(
        unit="dex", digits=2, enrichment=enrichment(abundance, one), common_label=common.label(name)[ordinary.star]
    )
    record.numbers(unit="mÅ", digits=2, one_known_width=published["known"].equivalent_width)
    for key, limits in (("one_anywhere_width", published), ("common_anywhere_width", without)):
        width = limits["anywhere"].equivalent_width
        record(key, width, unit="mÅ", digits=2, text=None if np.isfinite(width) else _NO_LIMIT)
    return {"one star, published": published, "without the top 1 %": without}


def record_sizes(chapter: Chapter) -> None:
    """Record what the test of one star sees in surveys of several sizes, the star chosen in each as published.

    In several draws of each size, lines are planted in the spectra of the star chosen and of its doppelgangers.
    """
    record, quick = chapter.record, chapter.quick
    options: dict[str, Any] = {"n_ordinary": 20 if quick else 40}
    options["wavelength_range"] = chapter.windows if quick else None
    strengths = [line_strengths(World("signal", depth=depth)) for depth in _DEPTHS]
    rows: list[list[Any]] = []
    for size in _SIZES:
        found = [_one_of_size(size, seed, options) for seed in range(2 if quick else 6)]
        excess, limit = np.median([each[:2] for each in found], axis=0)
        seen = np.array([[100 * np.mean(each[2] <= line.depth.mean()) for line in strengths] for each in found])
        rows.append([size, *expected_enhanced(size), excess, limit, *seen.mean(axis=0)])
        record.numbers(
            unit="%", digits=2, **{f"least_of_{size}": seen[:, 0].min(), f"most_of_{size}": seen[:, 0].max()}
        )
        record(f"enrichment_of_{size}", excess, unit="dex", digits=2)
        record(f"limit_of_{size}", limit, unit="mÅ", digits=2, text=None if np.isfinite(limit) else _NO_LIMIT)
        if size == max(_SIZES):
            ends = [end([each[1] for each in found]) for end in (min, max)]
            said = [f"{end:.2g} mÅ" if np.isfinite(end) else _NO_LIMIT for end in ends]
            record(f"limits_of_{size}", " to ".join(said))
    widths = [f"{line.equivalent_width.mean():.0f} mÅ seen (%)" for line in strengths]
    headings = ["stars", "r-I expected", "r-II expected", "enrichment (dex)", "limit (mÅ)", *widths]
    formats = dict(zip(headings, ["d", ".1f", ".2f", ".2f", ".0f", ".0f", ".0f"], strict=True))
    record.table("sizes", dict(zip(headings, zip(*rows, strict=True), strict=True)), formats=formats)
    record("n_draws", len(found))


def _one_of_size(size: int, seed: int, options: Mapping[str, Any]) -> tuple[float, float, np.ndarray]:
    """Return the true enrichment of the star chosen, the limit anywhere in mA, and the depth each place needed."""
    survey, test = counterfactuals.doppelganger_test_of_size(size, seed=seed, **options)
    abundance = detection_limits.relative_abundance(survey, "eu_fe")
    limit = detection_limits.doppelganger_limits(survey, test, abundance, seed=seed)["anywhere"]
    return enrichment(abundance, test), limit.equivalent_width, limit.needed


def enrichment(abundance: np.ndarray, test: DoppelgangerTest) -> float:
    """Return how much more of the element (dex) the star has than its doppelgangers, given relative abundances (N,)."""
    return float(np.log10(abundance[test.star] / np.mean(abundance[test.twins])))


def blind_model(chapter: Chapter, survey: Survey, name: str) -> Lux:
    """Return the default model of a survey without one of its labels."""
    return chapter.model(survey.select_labels([other for other in survey.label_names if other != name]))


@dataclass(frozen=True)
class Matched:
    """Matches pairs of stars and stacks their differences, always in the same way."""

    name: str
    n_flips: int
    seed: int

    def on_catalogue(self, survey: Survey) -> Stack:
        """Stack pairs that are alike in the other labels of the catalogue."""
        return self._stack(survey, *matching.match_on_catalogue(survey, self.name))

    def on_inferred(self, survey: Survey, prediction: Prediction, **options: Any) -> Stack:
        """Stack pairs that are alike in the other labels as their flux implies them."""
        return self._stack(survey, *matching.match_on_inferred(survey, prediction, self.name), **options)

    def _stack(self, survey: Survey, pairs: matching.Pairs, properties: np.ndarray, **options: Any) -> Stack:
        nuisance = quadratic_terms(properties)
        return counterfactuals.stack_pairs(survey, pairs, nuisance, n_flips=self.n_flips, seed=self.seed, **options)


def record_pairs(record: Record, biased: Stack, fair: Stack, limits: Limits) -> tuple[str, str]:
    """Record what both ways of matching find, and what the fair one could have found; return two texts for captions.

    Returns
    -------
    (str, str)
        The largest significance of pairs matched on the catalogue, and the limit anywhere in the band.
    """
    record("n_pairs", len(fair.pairs))
    texts = {}
    for kind, test in (("catalogue", biased.test), ("inferred", fair.test)):
        texts[kind] = record(f"{kind}_largest", test.largest.statistic, digits=2)
        record(f"{kind}_p", test.largest.p_value, digits=2)
        record(f"{kind}_width", float(np.std(test.z)), digits=3)
    record("stack_threshold", fair.test.largest.threshold(), digits=3)
    record("lag_one", fair.correlation[1], digits=2)
    record("stack_known_width", limits["known"].equivalent_width, unit="mÅ", digits=2)
    record("stack_anywhere_depth", 100 * limits["anywhere"].depth, unit="%", digits=2)
    anywhere = record("stack_anywhere_width", limits["anywhere"].equivalent_width, unit="mÅ", digits=2)
    return texts["catalogue"], anywhere


def record_limits(record: Record, limits: Mapping[str, Limits]) -> list[tuple[str, np.ndarray]]:
    """Record the limits of all tests; return the widths of the real lines of heavy species in the mean giant."""
    columns: dict[str, list] = {"test": list(limits)}
    formats: dict[str, str] = {}
    for place in ("known", "anywhere"):
        columns[f"depth, {place} (%)"] = [100 * each[place].depth for each in limits.values()]
        columns[f"width, {place} (mÅ)"] = [each[place].equivalent_width for each in limits.values()]
        formats |= {f"depth, {place} (%)": ".2f", f"width, {place} (mÅ)": ".1f"}
    record.table("line_limits", columns, formats=formats)
    heavy, real = heavy_element_lines(), []
    for species in ("Ce II", "Nd II", "Yb II"):
        places = heavy.wavelength[(heavy.species == species) & np.isfinite(heavy.log_gf)]
        real.append((species, equivalent_width(np.array(natural_depths(species)), places)))
    record("cerium_width", float(np.max(real[0][1])), unit="mÅ", digits=2)
    return real


@dataclass(frozen=True)
class Control:
    """Part of a synthetic survey of another world, and the other labels that its flux implies, refined and as read."""

    survey: Survey
    prediction: Prediction
    as_read: Prediction


def control(chapter: Chapter, world: str, model: Lux) -> Control:
    """Return the control of a world; `model` infers the other labels where the chapter's survey is synthetic too."""
    survey = chapter.world(world)[: max(600, chapter.n_stars // 2)]
    blind = model if chapter.synthetic else blind_model(chapter, survey, "eu_fe")
    return Control(survey, matching.refined_prediction(blind, survey), blind.predict_labels(survey))


def record_signal(chapter: Chapter, signal: Control, planted: Stack) -> str:
    """Record what the tests find of planted lines; return the text of the largest significance."""
    record, survey = chapter.record, signal.survey
    at = [int(np.argmin(np.abs(survey.wavelength - place))) for place in PLANTED_WAVELENGTHS[:3]]
    weight = planted.slope_err[at] ** -2.0
    true = survey.truth.labels[:, survey.label_index("eu_fe")]
    contrast = np.sum(true[planted.pairs.first] - true[planted.pairs.second]) / np.sum(planted.pairs.contrast)
    percent = 100 * np.std(true) / contrast
    slope, error = np.sum(weight * planted.slope[at]) / weight.sum(), weight.sum() ** -0.5
    record.numbers(signal_n_pairs=len(planted.pairs), signal_stars=survey.n_stars)
    record("signal_depth", percent * slope, uncertainty=percent * error, unit="%")
    record("dilution", contrast, digits=2)
    record("planted_depth", 100 * Signal().depth, unit="%", digits=2)
    record("planted_width", line_strengths(Signal()).equivalent_width.mean(), unit="mÅ", digits=2)
    one_star = counterfactuals.doppelganger_test(chapter.world("signal"), "eu_fe", seed=chapter.seed).largest
    record("signal_one_largest", one_star.statistic, digits=3)
    record("signal_one_p", one_star.p_value, digits=2)
    return record("signal_largest", planted.test.largest.statistic, digits=3)


def record_stray(record: Record, whole: Stack, plain: Stack, planted: Stack) -> None:
    """Record where else than at the planted lines their stack passes its threshold, and what stands there without them.

    `plain` are the pairs of the same stars without planted lines, `whole` those of the whole survey.
    """
    test, wavelength = planted.test, planted.wavelength
    z = np.where(_near(wavelength, PLANTED_WAVELENGTHS[:3]), 0, np.abs(test.z))
    at, largest = int(np.argmax(z)), plain.test.largest
    record("stray_place", wavelength[at], unit="Å", text=f"{wavelength[at]:.1f} Å")
    record("stray_side", "above" if z[at] > test.largest.threshold() else "below")
    record.numbers(digits=2, stray=float(z[at]), plain_stray=float(np.abs(plain.test.z[at])))
    record.numbers(digits=2, whole_stray=float(np.abs(whole.test.z[at])))
    record.numbers(digits=2, plain_largest=largest.statistic, plain_p=largest.p_value)


def _near(wavelength: np.ndarray, places: Sequence[float]) -> np.ndarray:
    """Return which pixels (D,) lie near any of some wavelengths."""
    return np.any(np.abs(wavelength[:, None] - np.asarray(places)) < _NEAR, axis=1)


def record_artefact(
    record: Record, artefact: Control, velocity: np.ndarray, matched: Matched, spoiled: Stack, plain: Stack
) -> None:
    """Record what airglow that follows europium does at rest, and what `plain`, the same stars without it, show."""
    survey, wavelength = artefact.survey, spoiled.wavelength
    mismatch = velocity - survey.truth.columns["observed_velocity"]
    record("velocity_error", float(np.median(np.abs(mismatch))), unit="km/s", digits=2)
    sky = airglow.near_airglow(wavelength, velocity)
    without = matched.on_inferred(survey, artefact.prediction, without=sky)
    as_read = matched.on_inferred(survey, artefact.as_read)
    for key, stack in (("artefact", spoiled), ("as_read", as_read)):
        place = wavelength[np.argmax(np.abs(stack.test.z))]
        nearest = np.min(np.abs(np.array(ARTEFACT_WAVELENGTHS) - place))
        record(f"{key}_place", place, unit="Å", text=f"{place:.1f} Å")
        record(f"{key}_distance", float(nearest), unit="Å", digits=2)
    at_sky = _near(wavelength, ARTEFACT_WAVELENGTHS)
    stacks = {"artefact_rest": spoiled, "artefact_masked": without, "artefact_plain": plain, "as_read": as_read}
    for key, stack in stacks.items():
        record(key, stack.test.largest.statistic, digits=2)
        record(f"{key}_p", stack.test.largest.p_value, digits=2)
        record(f"{key}_at_sky", float(np.max(np.abs(stack.test.z[at_sky]))), digits=2)


def frames(stacks: Mapping[str, tuple[Stack, np.ndarray]], n_flips: int, seed: int) -> list[tuple]:
    """Return what `frames` of the figures draws of stacks with the velocities (N,) of their stars, km/s."""
    lines = airglow_lines()
    strong, panels = lines.wavelength[lines.strength > airglow.FAINTEST], []
    for title, (stack, velocity) in stacks.items():
        observer = counterfactuals.stack_in_observer_frame(stack, velocity, strong, n_flips, seed)
        at_rest = stack.test.largest
        thresholds = observer.largest.threshold(), at_rest.threshold()
        panels.append((title, strong, observer.z, thresholds[0], at_rest.statistic, thresholds[1]))
    return panels
