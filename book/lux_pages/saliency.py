"""Numbers and tables of the chapter on saliency."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from astropy.stats import gaussian_fwhm_to_sigma
from scipy.stats import norm

from lux.diagnostics import line_matching, saliency
from lux.diagnostics.line_matching import Neighbor, Spikes
from lux.diagnostics.saliency import ExcessMap, SaliencyMap
from lux.figures import label_text
from lux.models.lux import Lux
from lux.paper.record import Record
from lux.paper.setup import Chapter
from lux.paper.subject import label_of, missing
from lux.simulation.population import EUROPIUM_PLATEAU
from lux.simulation.synthesis import line_strength
from lux.simulation.worlds import PLANTED_WAVELENGTHS
from lux.spectroscopy.airglow import observed_velocity
from lux.spectroscopy.instrument import SPEED_OF_LIGHT_KMS
from lux.spectroscopy.line_detection import line_sigma
from lux.spectroscopy.lines import R_PROCESS_FRACTION, heavy_element_lines, load_lines, strongest, vacuum_to_air
from lux.statistics import PermutationTest, holm
from lux.survey import Survey, label_unit

_ELEMENTS = ("Fe", "Mg", "Si", "Ti", "Ca", "Al", "Mn", "Ni", "OH", "CO", "CN")
_HEAVY = "Rb to Yb"
# Where the published study saw a line of cesium, vacuum Angstrom (Horta et al. 2026).
_PEAK = 15_241.0
# [Fe/H] of the catalogue above which the disc's europium follows iron on a straight line, a little above its knee.
_ABOVE_THE_KNEE = EUROPIUM_PLATEAU + 0.1
# First and last vacuum wavelength of each chip, Angstrom.
CHIPS = ((15_145, 15_810), (15_857, 16_435), (16_474, 16_955))
_KINDS = {"air wavelength": "stellar line, found by its air wavelength", "night sky": "airglow"}


@dataclass(frozen=True)
class Maps:
    """The maps of all labels in one survey; `forward` is None where the labels allow none.

    `weight` (D,) weighs the pixels by their noise.
    """

    pattern: SaliencyMap
    backward: SaliencyMap
    forward: SaliencyMap | None
    weight: np.ndarray

    def explained_by_others(self, label: str) -> tuple[np.ndarray, float]:
        """Return the combination (D,) of the other labels' backward maps nearest to one, and how much it explains."""
        return saliency.explained_by_other_labels(self.backward, label, self.weight)

    def similarity(self) -> np.ndarray:
        """Return the cosines (M, M) between the backward maps of the labels."""
        return saliency.similarity(self.backward, self.weight)


def all_maps(record: Record, model: Lux, survey: Survey) -> Maps:
    """Return the maps of a model and a survey; a remark says why there is no forward map where there is none."""
    try:
        forward = saliency.forward_map(straight_part(survey))
    except ValueError as error:
        record.remark(f"The forward map is left out: {error}.")
        forward = None
    weight = 1 / np.maximum(model.weight_, 1e-6 * model.weight_.max())
    return Maps(saliency.pattern_map(model, survey), saliency.backward_map(model, survey), forward, weight)


def straight_part(survey: Survey) -> Survey:
    """Return the stars of a survey with europium on whose iron it depends linearly: those above the knee; else all."""
    if not {"eu_fe", "fe_h"} <= set(survey.label_names):
        return survey
    return survey[survey.label("fe_h") > _ABOVE_THE_KNEE]


def excess_of(chapter: Chapter, survey: Survey, label: str) -> ExcessMap:
    """Return the excess map of a label: half of the stars train the model, the other half is looked at."""
    train, test = survey.split(0.5, seed=chapter.seed)
    return saliency.excess_map(chapter.model(train), test, label, seed=chapter.seed)


def record_maps(record: Record, maps: Maps, excess: ExcessMap, survey: Survey, name: str) -> tuple[str, str]:
    """Record what the four maps of a label say; return two texts for the figure.

    Returns
    -------
    (str, str)
        How much of the backward map the other labels explain, and the largest value of the excess map.
    """
    record("noise_share", 100 * saliency.noise_fraction(maps.backward, name, maps.weight), unit="%", digits=2)
    record.numbers(n_train=survey.n_stars, n_test=survey.n_stars // 2)
    record("pattern_explained", 100 * saliency.explained_by_other_labels(maps.pattern, name)[1], unit="%", digits=4)
    record("forward_threshold", pixel_threshold(survey.n_pixels), digits=2)
    metals = label_of("iron", survey.label_names)
    largest: float | str = "not known"
    scatter = iron = largest
    if maps.forward is not None:
        z = maps.forward.z(name)
        largest, scatter, iron = float(np.max(np.abs(z))), float(np.std(z)), float(np.std(maps.forward.z(metals)))
    record("forward_largest", largest, digits=2)
    record.numbers(forward_scatter=scatter, iron_scatter=iron)
    bent = saliency.forward_map(survey).z(name) if maps.forward is not None else np.zeros(1)
    record.numbers(n_straight=straight_part(survey).n_stars, bent_scatter=float(np.std(bent)))
    record("bent_largest", float(np.max(np.abs(bent))), digits=2)
    record("backward_largest", float(np.max(np.abs(maps.backward.z(name)))), digits=2)
    record.numbers(digits=2, excess_threshold=excess.largest.threshold(), excess_p=excess.largest.p_value)
    explained = record("explained", 100 * maps.explained_by_others(name)[1], unit="%", digits=2)
    return explained, record("excess_largest", excess.largest.statistic, digits=2)


def pixel_threshold(n_pixels: int) -> float:
    """Return what the largest of so many pixels exceeds by chance in one of twenty, in standard errors."""
    return float(norm.isf(0.025 / n_pixels))


def map_panels(maps: Maps, excess: ExcessMap, survey: Survey, name: str) -> list[tuple]:
    """Return what `lux.figures.saliency.map_rows` draws of the four maps of a label."""
    backward, wavelength = maps.backward.of(name), survey.wavelength
    scale = 1 / np.max(np.abs(backward))
    combined, _ = maps.explained_by_others(name)
    title = "backward, and over it the best combination of the other labels' (orange)"
    panels: list[tuple] = []
    if maps.forward is not None:
        forward = maps.forward.z(name)
        panels.append(("forward", "map / error", wavelength, forward, None, pixel_threshold(survey.n_pixels), []))
    excess_title = "backward beyond the other labels"
    return [
        *panels,
        ("pattern", f"flux per {label_unit(name) or 'unit'}", wavelength, maps.pattern.of(name), None, None, []),
        (title, "map / largest", wavelength, scale * backward, scale * combined, None, []),
        (excess_title, "map / error", wavelength, excess.z, None, excess.largest.threshold(), []),
    ]


@dataclass(frozen=True)
class Nulls:
    """Backward maps (n, D) of a label shuffled among the stars, and of one that only follows the other labels."""

    shuffled: np.ndarray
    follower: np.ndarray

    @property
    def band(self) -> np.ndarray:
        """Between which values 95 % of the maps of shuffled labels lie at each pixel, (2, D)."""
        return np.percentile(self.shuffled, [2.5, 97.5], axis=0)


def nulls_of(chapter: Chapter, model: Lux, survey: Survey, name: str) -> Nulls:
    """Return the maps against which the backward map of a label is held."""
    options = {"n_permutations": 60 if chapter.quick else 1000, "seed": chapter.seed}
    maps = [saliency.permuted_label_maps(model, survey, name, follows=each, **options) for each in (False, True)]
    return Nulls(*maps)


def record_spikes(record: Record, maps: Maps, nulls: Nulls, survey: Survey, name: str) -> Spikes:
    """Record how many spikes the backward map of each label has, and those of both nulls; return the label's."""
    wavelength, labels = survey.wavelength, survey.label_names
    spikes = {label: line_matching.find_spikes(wavelength, maps.backward.of(label)) for label in labels}
    record.numbers(n_spikes=len(spikes[name]), n_permutations=len(nulls.shuffled))
    record("spike_height", line_matching.SPIKE_HEIGHT, digits=1)
    record("tolerance", line_matching.TOLERANCE_KMS, unit="km/s", digits=2)
    for key, null in (("null", nulls.shuffled), ("follower", nulls.follower)):
        counts = np.array([len(line_matching.find_spikes(wavelength, each)) for each in null], float)
        low, high = np.percentile(counts, [2.5, 97.5])
        record(f"{key}_spikes", float(np.median(counts)), interval=(float(low), float(high)))
        record(f"{key}_p", PermutationTest(len(spikes[name]), counts).p_value, digits=2)
    half = [100 * saliency.half_mass_fraction(maps.backward.of(label)) for label in labels]
    record("half_of_map", half[labels.index(name)], unit="%", digits=3)
    # Beyond a deviation z lies a share exp(-z^2 / 2) of the absolute sum of Gaussian noise.
    record("half_of_noise", 200 * float(norm.sf(np.sqrt(2 * np.log(2)))), unit="%", digits=3)
    columns = {
        "label": [label_text(label, False) for label in labels],
        "spikes": [len(spikes[label]) for label in labels],
        "half of map (% of pixels)": half,
        "explained by others": [maps.explained_by_others(label)[1] for label in labels],
    }
    record.table("map_spikes", columns, formats={"half of map (% of pixels)": ".1f", "explained by others": ".2f"})
    return spikes[name]


def record_matches(record: Record, spikes: Spikes, wavelength: np.ndarray, seed: int) -> None:
    """Record at the strongest lines of which elements the spikes lie, at lines of heavy ones, and at any of these."""
    lines = load_lines()
    strength = np.ravel(line_strength([4750.0], [2.5], [-0.2], lines=lines))
    places = {}
    for element in _ELEMENTS:
        own = lines.element == element
        places[element] = strongest(lines[own], strength[own], 30).wavelength
    places[_HEAVY] = heavy_element_lines().wavelength
    matches = {each: line_matching.match_lines(spikes, at, wavelength, seed=seed) for each, at in places.items()}
    p_values = np.array([each.test.p_value for each in matches.values()])
    adjusted = holm(p_values)
    columns = {
        "lines of": list(matches),
        "found": [each.n_matched for each in matches.values()],
        "by chance": [each.expected for each in matches.values()],
        "p": p_values.tolist(),
        "p, twelve tests": adjusted.tolist(),
    }
    formats = {"by chance": ".1f", "p": ".4f", "p, twelve tests": ".3f"}
    record.table("spikes_at_lines", columns, formats=formats)
    favored = [element for element, p_value in zip(matches, adjusted, strict=True) if p_value < 0.05]
    record("favoured", ", ".join(favored) if favored else "no element")
    record.numbers(
        spikes_at_alpha=sum(matches[each].n_matched for each in ("Mg", "Si", "Ti")),
        spikes_at_iron=matches["Fe"].n_matched,
    )
    record("iron_expected", matches["Fe"].expected, digits=2)
    heavy = matches[_HEAVY]
    record.numbers(heavy_matched=heavy.n_matched, n_tests=len(matches))
    for key, chance in (("heavy_needed", 0.05), ("heavy_needed_of_all", 0.05 / len(matches))):
        record(key, int(np.quantile(heavy.test.null, 1 - chance, method="higher")) + 1)
    record.numbers(digits=2, heavy_expected=heavy.expected, heavy_p=heavy.test.p_value)
    anywhere = line_matching.match_lines(spikes, np.concatenate([*places.values()]), wavelength, seed=seed)
    record("any_matched", anywhere.n_matched)
    record.numbers(digits=2, any_expected=anywhere.expected, any_p=anywhere.test.p_value)


def record_signal(record: Record, maps: Maps, excess: ExcessMap, survey: Survey) -> str:
    """Record what the maps show of planted lines; return the text of what the other labels explain."""
    forward = maps.forward.z("eu_fe")
    record("signal_excess", excess.largest.statistic, digits=2)
    record("signal_forward", float(np.max(np.abs(forward))), digits=2)
    for key, values in (("signal_distance", excess.z), ("signal_forward_distance", forward)):
        peak = survey.wavelength[np.argmax(np.abs(values))]
        nearest = np.min(np.abs(peak - np.array(PLANTED_WAVELENGTHS[:3])))
        record(key, float(nearest), unit="Å", digits=1)
    record("signal_pattern", 100 * saliency.explained_by_other_labels(maps.pattern, "eu_fe")[1], unit="%", digits=4)
    return record("signal_explained", 100 * maps.explained_by_others("eu_fe")[1], unit="%", digits=2)


def record_cosines(record: Record, maps: Maps, survey: Survey, name: str, which: str = "") -> tuple[str, str]:
    """Record the cosines of a label's backward map with those of iron and alpha, and return their texts."""
    cosines, names = maps.similarity()[survey.label_index(name)], survey.label_names
    texts = []
    for quantity in ("iron", "alpha"):
        value: float | str = "not known"
        if not missing(survey, [quantity]):
            value = float(cosines[names.index(label_of(quantity, names))])
        texts.append(record(f"{which}cosine_{quantity}", value, digits=2))
    return texts[0], texts[1]


@dataclass(frozen=True)
class AroundThePeak:
    """What lies around the published peak, the lines of cesium and iron and the airglow among it."""

    found: Sequence[Neighbor]
    cesium: Neighbor
    iron: Neighbor
    glow: Neighbor

    @property
    def cesium_air(self) -> float:
        """Wavelength of the cesium line in air, Angstrom."""
        return float(vacuum_to_air(self.cesium.wavelength))

    @property
    def marks(self) -> tuple[list, list, list]:
        """Stellar lines, airglow, and the place of air wavelengths, as `lux.figures.saliency.around` marks them."""
        stellar = [(self.iron.wavelength, self.iron.name), (self.cesium.wavelength, "Cs I")]
        return stellar, [(self.glow.wavelength, "OH, sky and star")], [(self.cesium_air, "Cs I (air)")]


def around_the_peak() -> AroundThePeak:
    """Return what lies around the published peak."""
    found = line_matching.neighbors(_PEAK, within=1.6)
    cesium = next(each for each in found if each.kind == "air wavelength" and each.name == "Cs I")
    iron = next(each for each in found if each.kind == "stellar line" and each.name == "Fe I")
    return AroundThePeak(found, cesium, iron, next(each for each in found if each.kind == "night sky"))


def record_places(record: Record, around: AroundThePeak) -> None:
    """Record where the lines around the published peak are, in vacuum and in air."""
    places = {
        "cesium_vacuum": around.cesium.wavelength,
        "cesium_air": around.cesium_air,
        "glow_place": around.glow.wavelength,
        "iron_place": around.iron.wavelength,
    }
    for key, place in places.items():
        record(key, place, unit="Å", text=f"{place:.2f} Å")
    record("cesium_r", 100 * R_PROCESS_FRACTION["Cs"], unit="%", digits=2)
    # Components of one line are a row.
    rows = {(each.kind, each.name, round(each.wavelength, 2)): each.wavelength for each in around.found}
    kinds, names, _ = zip(*sorted(rows, key=rows.__getitem__), strict=True)
    vacuum = sorted(rows.values())
    columns = {"what": names, "kind": [_KINDS.get(kind, kind) for kind in kinds], "vacuum (Å)": vacuum}
    columns["air (Å)"] = [float(vacuum_to_air(value)) for value in vacuum]
    record.table("near_the_peak", columns, formats={"vacuum (Å)": ".2f", "air (Å)": ".2f"})


def record_peak(
    record: Record, around: AroundThePeak, wavelength: np.ndarray, label: np.ndarray, alpha: np.ndarray, spikes: Spikes
) -> None:
    """Record what our own map has at the place of the published peak.

    Parameters
    ----------
    record : Record
    around : AroundThePeak
    wavelength : (D,) array
        Vacuum Angstrom.
    label, alpha : (D,) arrays
        Backward maps of the label and of alpha over their errors.
    spikes : Spikes
        Of the map of the label.
    """
    region = np.flatnonzero(np.abs(wavelength - _PEAK) < 1.2)
    peak = region[np.argmax(np.abs(label[region]))]
    place, at_cesium = wavelength[peak], np.argmin(np.abs(wavelength - around.cesium.wavelength))
    record("peak_place", place, unit="Å", text=f"{place:.2f} Å")
    record("peak_is_spike", np.any(np.abs(spikes.wavelength - place) < 0.5))
    near_iron = np.abs(wavelength - around.iron.wavelength) < 0.35
    record.numbers(
        digits=2,
        cesium_z=float(label[at_cesium]),
        peak_z=float(label[peak]),
        iron_z=float(np.max(np.abs(label[near_iron]))),
        alpha_z=float(np.max(alpha[np.abs(wavelength - place) < 0.5])),
    )


def record_widths(record: Record, around: AroundThePeak, survey: Survey) -> None:
    """Record how wide airglow is in the rest frame of the stars, and how wide an unresolved line, at half maximum."""
    velocity = observed_velocity(survey)
    spread = np.std(around.glow.wavelength / (1 + velocity / SPEED_OF_LIGHT_KMS)) / gaussian_fwhm_to_sigma
    blue = survey.wavelength[survey.wavelength < 15_400]
    width = line_sigma(survey.wavelength) / gaussian_fwhm_to_sigma * np.median(np.diff(blue))
    record.numbers(unit="Å", digits=2, sky_spread=float(spread), line_width=float(width))
    record("velocity_spread", float(np.std(velocity)), unit="km/s", digits=2)
