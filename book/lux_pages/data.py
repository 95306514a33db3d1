"""Numbers and tables of the chapter on the data."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.linear_model import LinearRegression

from lux.datasets.crossmatch import selection_table
from lux.paper.record import Record
from lux.paper.setup import default_survey
from lux.simulation import realism
from lux.simulation.heavy_species import natural_depths
from lux.simulation.layers import DEFAULT_PHYSICS, Physics
from lux.simulation.population import EUROPIUM_PLATEAU, Stars, draw_stars
from lux.simulation.strengths import line_strengths
from lux.simulation.worlds import ARTEFACT_WAVELENGTHS, WORLDS, Artefact, Leak, Proxy, Signal, World
from lux.spectroscopy.instrument import SPEED_OF_LIGHT_KMS, chip_ranges, pixel_of, wavelength_grid
from lux.spectroscopy.lines import R_PROCESS_FRACTION, LineList, lines_of, load_lines
from lux.spectroscopy.profiles import rest_pixel
from lux.statistics import robust_std
from lux.survey import Survey

# The reddest line of europium in any line list, vacuum Angstrom (Smith et al. 2021; Ryabchikova et al. 2015).
_REDDEST_EUROPIUM = 14766.5
_SYNTHESIZED = ("Rb I", "Ce II", "Nd II", "Yb II")
_METAL_RICH = -0.8
_OUTSIDE = ("gse", "in-situ", "r-I", "r-II", "decorrelated")
_SURVEYS = {
    "property": (
        "telescopes", "spectrograph", "wavelength (Å)", "resolving power", "spectra become labels by",
        "labels used here", "europium",
    ),
    "APOGEE": (
        "Sloan 2.5 m, du Pont 2.5 m", "300 fibres, cryogenic", "", "22,500",
        "fit of a grid of synthetic spectra (ASPCAP)", "none, but for those of DR10", "no line",
    ),
    "GALAH": (
        "Anglo-Australian 3.9 m", "HERMES, 392 fibres", "4713–4903, 5648–5873, 6478–6737, 7585–7887", "28,000",
        "fit of synthetic spectra, star by star (Spectroscopy Made Easy)",
        "Teff, log g, [Fe/H], [α/Fe], [Eu/Fe]", "Eu II 6645.1 Å",
    ),
}  # fmt: skip


def chips(release: str) -> list[tuple[float, float]]:
    """Return first and last wavelength of each detector in a data release, vacuum Angstrom."""
    grid = wavelength_grid()
    return [(grid[first], grid[last - 1]) for first, last in chip_ranges(release).values()]


def record_surveys(record: Record) -> None:
    """Record the table that compares the two surveys."""
    columns = {survey: list(rows) for survey, rows in _SURVEYS.items()}
    columns["APOGEE"][2] = ", ".join(f"{low:.0f}–{high:.0f}" for low, high in chips("dr17"))
    record.table("surveys", columns)


def record_labels(record: Record, studied: Mapping[str, Survey]) -> None:
    """Record where the labels of each survey lie, and the typical error of each."""
    rows = [(name, survey, label) for name, survey in studied.items() for label in survey.label_names]
    values = np.round([np.nanpercentile(survey.label(label), [5, 50, 95]) for _, survey, label in rows], 2)
    errors = [np.nanmedian(survey.label_err[:, survey.label_index(label)]) for _, survey, label in rows]
    numbers = {"5 %": values[:, 0], "median": values[:, 1], "95 %": values[:, 2], "error": np.round(errors, 3)}
    columns = {
        "survey": [name for name, _, _ in rows],
        "label": [label for _, _, label in rows],
        "unit": [survey.label_units[survey.label_index(label)] for _, survey, label in rows],
    }
    record.table("labels", columns | numbers, formats=dict.fromkeys(numbers, ".4g"))


def record_selection(record: Record, studied: Mapping[str, Survey]) -> None:
    """Record what is required of a star, and how many stars were left where a survey of this build counts them."""
    counted = next((survey for survey in studied.values() if "selection" in survey.provenance), None)
    table = selection_table(studied["synthetic"].label_names, counted)
    record.table("selection", table, formats={"removed": ",.0f", "left": ",.0f"})
    text = "this build has no such stars to count"
    if counted is not None:
        left_out = len(counted.provenance["left_out"])
        text = f"in this build {counted.n_stars:,} stars were assembled and {left_out} had no spectrum"
    record("selection_counted", text)


def record_lines(record: Record, heavy: LineList, limits: np.ndarray) -> None:
    """Record which lines of heavy elements lie within the limits of the band, and how deep they are.

    Parameters
    ----------
    record : Record
    heavy : LineList
        Lines of the neutron-capture elements in the band.
    limits : (2,) array
        First and last vacuum wavelength of the band, Angstrom.
    """
    record("eu_distance", float(limits[0] - _REDDEST_EUROPIUM), unit="Å", digits=2)
    record("n_lines", len(load_lines()))
    record("n_eu_lines", len(lines_of("Eu").within(*limits)))
    species = ["Eu", *sorted(set(heavy.species.tolist()), key=lambda name: R_PROCESS_FRACTION[name.split()[0]])]
    depths = {name: natural_depths(name) for name in _SYNTHESIZED}
    strongest = {name: World("proxy", species=name).wavelengths[int(np.argmax(depths[name]))] for name in depths}
    columns = {
        "species": species,
        "lines": [int(np.sum(heavy.species == name)) for name in species],
        "strongest (Å)": [f"{strongest[name]:,.2f}" if name in strongest else None for name in species],
        "depth": [f"{100 * max(depths[name]):.1f} %" if name in depths else None for name in species],
        "r-process": [R_PROCESS_FRACTION[name.split()[0]] for name in species],
    }
    record.table("heavy", columns, formats={"r-process": ".2f"})
    record.numbers(unit="%", digits=2, depth_ce=100 * max(depths["Ce II"]), depth_yb=100 * max(depths["Yb II"]))


@dataclass(frozen=True)
class HeldOutGiants:
    """The giants that judge the synthetic spectra, the spectra (N, D) at their labels, and how they compare.

    `other_clusters` are those of the giants on which constants were chosen.
    """

    survey: Survey
    synthetic: np.ndarray
    compared: Mapping[str, np.ndarray]
    other_clusters: frozenset[str]

    @property
    def rich(self) -> np.ndarray:
        """Which giants have the metallicity of the disc (N,)."""
        return self.survey.label("m_h") > _METAL_RICH

    @property
    def typical(self) -> int:
        """Row of the giant of median correlation among those of the disc's metallicity."""
        order = np.flatnonzero(self.rich)[np.argsort(self.compared["correlation"][self.rich])]
        return int(order[len(order) // 2])


def held_out_giants(genuine: Survey) -> HeldOutGiants:
    """Return the giants on which no constant of the synthesis was chosen, with their synthetic counterparts."""
    giants, calibration = realism.select_giants(genuine)
    others = frozenset(giants.catalogue["cluster"][calibration].tolist())
    giants = giants[~calibration]
    synthetic = realism.synthetic_counterparts(giants)
    return HeldOutGiants(giants, synthetic, realism.compare(giants.flux, giants.ivar, synthetic), others)


def record_realism(record: Record, giants: HeldOutGiants, seed: int) -> None:
    """Record how like the observed spectra the synthetic ones are."""
    record("held_out", giants.survey.n_stars)
    clusters = giants.survey.catalogue["cluster"]
    names = set(clusters.tolist())
    record.numbers(held_out_clusters=len(names), shared_clusters=len(names & giants.other_clusters))
    rich = set(clusters[giants.rich].tolist())
    record.numbers(rich_stars=int(giants.rich.sum()), rich_clusters=len(rich))
    correlation = giants.compared["correlation"]
    ratio = giants.compared["synthetic_depth"] / giants.compared["observed_depth"]
    everybody = np.ones(len(ratio), bool)
    keys = {"correlation_all": (correlation, everybody), "correlation_rich": (correlation, giants.rich)}
    keys |= {"depth_ratio": (ratio, everybody), "depth_ratio_rich": (ratio, giants.rich)}
    for key, (values, members) in keys.items():
        error = realism.median_error(values[members], seed, groups=clusters[members])
        record(key, np.median(values[members]), uncertainty=error)
    groups = realism.measure_groups(giants.survey, giants.synthetic)
    record("ceiling_all", groups["all"]["ceiling_median"])
    record("ceiling_rich", groups["[M/H] > −0.8"]["ceiling_median"])
    record("depth_ratio_poor", groups["[M/H] < −1.5"]["depth_ratio_median"], digits=2)
    record("depth_ratio_red", groups["red chip"]["depth_ratio_median"], digits=2)
    headings = {"stars": "n_stars", "r": "correlation_median", "r at best": "ceiling_median"}
    headings |= {"depth ratio": "depth_ratio_median"}
    columns = {heading: [row[key] for row in groups.values()] for heading, key in headings.items()}
    formats = {heading: ".3f" for heading in headings if heading != "stars"}
    record.table("realism", {"held-out giants": list(groups)} | columns, formats=formats)


def record_constants(record: Record, physics: Physics = DEFAULT_PHYSICS) -> None:
    """Record how many global constants the synthesis has, and by how much it lowers oscillator strengths."""
    offsets = dict(physics.strength_offset)
    constants = [value for name, value in vars(physics).items() if name != "log_tau"]
    record("n_constants", sum(len(value) if isinstance(value, tuple) else 1 for value in constants))
    molecules = [-offsets[name] for name in ("CN", "C2", "OH", "CO")]
    lowered = {"atoms": -offsets["atoms"], "hydrogen": -offsets["H"], "cerium": -offsets["Ce"]}
    lowered |= {"molecules_least": min(molecules), "molecules_most": max(molecules)}
    for name, value in lowered.items():
        record(f"offset_{name}", value, unit="dex", text=f"{value:.2f} dex")


def record_residual(record: Record, observed: np.ndarray, ivar: np.ndarray, synthetic: np.ndarray) -> str:
    """Record how far a synthetic spectrum (D,) is from the observed one, and the error; return the former's text."""
    good = ivar > 0
    record("shown_error", np.median(1 / np.sqrt(ivar[good])), digits=2)
    return record("residual_sigma", robust_std((observed - synthetic)[good]), digits=2)


def record_populations(record: Record, synthetic: Survey, n_stars: int, seed: int) -> None:
    """Record the populations of stars, and how well iron and alpha fix europium in the disc."""
    disc = draw_stars(n_stars, seed)
    sets = {"disc": disc} | {name: draw_stars(n_stars, seed, population=name) for name in _OUTSIDE}
    excess = {name: stars.label("eu_fe") - stars.eu_expected for name, stars in sets.items()}
    ordinary = ~disc.r_enhanced
    straight = LinearRegression().fit(_iron_and_alpha(disc)[ordinary], disc.label("eu_fe")[ordinary])
    missed = {name: stars.label("eu_fe") - straight.predict(_iron_and_alpha(stars)) for name, stars in sets.items()}
    eu_mg = {name: stars.label("eu_fe") - stars.label("mg_fe") for name, stars in sets.items()}
    columns = {
        "[Fe/H]": [np.median(stars.fe_h) for stars in sets.values()],
        "[Eu/Fe]": [np.median(stars.label("eu_fe")) for stars in sets.values()],
        "[Eu/Mg]": [np.median(values) for values in eu_mg.values()],
        "excess": [np.median(values) for values in excess.values()],
        "its scatter": [np.std(values) for values in excess.values()],
        "straight line": [np.median(values) for values in missed.values()],
    }
    record.table("populations", {"set": list(sets)} | columns, formats=dict.fromkeys(columns, ".2f"))
    record("europium_plateau", EUROPIUM_PLATEAU, digits=1)
    for name in ("gse", "in-situ"):
        for key, values in (("excess", excess[name]), ("straight_line", missed[name]), ("eu_mg", eu_mg[name])):
            error = realism.median_error(values, seed)
            record(f"{name.replace('-', '_')}_{key}", np.median(values), unit="dex", uncertainty=error)
    residual, true, noisy = excess["disc"][ordinary], disc.label("eu_fe")[ordinary], synthetic.label("eu_fe")[ordinary]
    record("eu_scatter", np.std(residual), unit="dex", uncertainty=np.std(residual) / np.sqrt(2 * len(residual)))
    record("n_enhanced", int(np.sum(disc.r_enhanced)))
    record("explained_true", 100 * (1 - np.var(residual) / np.var(true)), unit="%", digits=2)
    unexplained = np.var(noisy - disc.eu_expected[ordinary]) / np.var(noisy)
    record("explained_catalogue", 100 * (1 - unexplained), unit="%", digits=2)


def _iron_and_alpha(stars: Stars) -> np.ndarray:
    """Return [Fe/H] and [alpha/Fe] of stars, (N, 2)."""
    return np.column_stack([stars.fe_h, stars.alpha_fe])


def outside_populations(n_stars: int, seed: int) -> dict[str, Stars]:
    """Return stars of each population on which no model is trained."""
    return {name: draw_stars(n_stars, seed + number, population=name) for number, name in enumerate(_OUTSIDE, 1)}


def record_worlds(record: Record) -> None:
    """Record the table of the worlds: what is planted in each, where, and whether the flux speaks of europium."""
    signal, proxy, leak, artefact = Signal(), Proxy(), Leak(), Artefact()
    planted = {
        "shortcut": ("nothing", None, "no"),
        "signal": (
            f"fictitious Eu lines, {_width(signal):.0f} mÅ at mean abundance, {100 * signal.depth:g} % of the flux "
            "per σ of [Eu/Fe]",
            signal,
            "yes, at its own lines",
        ),
        "proxy": (
            f"{proxy.species} follows Eu to {proxy.scatter:g} dex, its line {proxy.boost:g} times as strong as it is, "
            f"{_width(proxy):.0f} mÅ",
            proxy,
            "yes, at another element's line",
        ),
        "decorrelated": ("[Eu/Fe] drawn at random", None, "no"),
        "leak": (
            f"the catalogue's error of [Eu/Fe], {100 * leak.amplitude:g} % of the flux per σ",
            leak,
            "no, of the catalogue's noise",
        ),
        "artefact": (
            f"airglow that follows [Eu/Fe], {100 * artefact.amplitude:g} % of the flux per τ",
            artefact,
            "yes, by accident, in the sky",
        ),
    }
    texts, worlds, answers = zip(*(planted[name] for name in WORLDS), strict=True)
    places = [", ".join(f"{place:,.1f}" for place in world.wavelengths) if world else None for world in worlds]
    columns = {"world": [f"*{name}*" for name in WORLDS], "planted": texts, "where (Å)": places}
    record.table("six_worlds", columns | {"does the flux speak of Eu?": answers})


def _width(world: World) -> float:
    """Return the mean equivalent width of what a world plants, at the mean abundance, in milli-Angstrom."""
    return float(np.mean(line_strengths(world).equivalent_width))


@dataclass(frozen=True)
class WorldsSideBySide:
    """Surveys of the same unmasked stars around what each world plants.

    Parameters
    ----------
    plain : Survey
        The world "shortcut".
    options : dict
        What the surveys are made with.
    centers : dict of world to float
        Vacuum wavelength of what is drawn of a world, Angstrom.
    """

    plain: Survey
    options: Mapping[str, Any]
    centers: Mapping[str, float]

    @property
    def true(self) -> Mapping[str, np.ndarray]:
        """True properties of the stars, (N,) each."""
        return self.plain.truth.columns

    def change(self, **options: Any) -> np.ndarray:
        """Return by how much the flux (N, D) differs with other options of the survey."""
        return default_survey("synthetic", **options, **self.options).flux - self.plain.flux

    def panels(self, n_shown: int) -> dict[str, tuple]:
        """Return what `lux.figures.data.planted_differences` draws of the first stars."""
        return {
            world: (self.plain.wavelength, self.change(world=world)[:n_shown], self._driver(world)[:n_shown], center)
            for world, center in self.centers.items()
        }

    def _driver(self, world: str) -> np.ndarray:
        """Return what the flux of a world follows (N,), in standard deviations."""
        if world == "leak":
            errors = (self.plain.labels - self.plain.truth.labels) / self.plain.label_err
            return errors[:, self.plain.label_index("eu_fe")]
        if world == "artefact":
            return self.true["eu_residual"] / self.plain.truth.world["tau"]
        eu_h = self.true["eu_fe"] + self.true["fe_h"]
        return (eu_h - eu_h.mean()) / eu_h.std()


def worlds_side_by_side(seed: int) -> WorldsSideBySide:
    """Return surveys of the same stars without masks, in 24 Angstrom around what the worlds plant."""
    centers = {name: World(name).wavelengths[0] for name in ("signal", "proxy", "leak", "artefact")}
    windows = [(center - 12, center + 12) for center in centers.values()]
    options: dict[str, Any] = {
        "n_stars": 192,
        "seed": seed,
        "bad_columns": 0,
        "bad_pixel_fraction": 0.0,
        "wavelength_range": windows,
    }
    return WorldsSideBySide(default_survey("synthetic", **options), options, centers)


def record_sky(record: Record, genuine: Survey, observed_velocity: np.ndarray) -> tuple[str, str]:
    """Record how far airglow moves at rest; how much of the genuine spectra is masked there, and in all (returned)."""
    shift = ARTEFACT_WAVELENGTHS[0] * np.std(observed_velocity) / SPEED_OF_LIGHT_KMS
    record("sky_shift", shift, unit="Å", digits=2)
    masked, pixels = genuine.ivar == 0, pixel_of(genuine.wavelength)
    places = rest_pixel(ARTEFACT_WAVELENGTHS, genuine.catalogue["radial_velocity"])
    nearest = np.abs(places[:, :, None] - pixels).argmin(axis=2)
    on_grid = np.abs(pixels[nearest] - places) < 1
    at_sky = 100 * np.take_along_axis(masked, nearest, axis=1)[on_grid].mean()
    texts = [record("masked_at_sky", at_sky, unit="%", digits=2)]
    return texts[0], record("masked_overall", 100 * masked.mean(), unit="%", digits=2)


def record_noise(record: Record, studied: Mapping[str, Survey]) -> None:
    """Record noise and masks of each survey."""
    noise = {}
    for name, survey in studied.items():
        error = 1 / np.sqrt(survey.ivar[survey.ivar > 0])
        ratios = _ratios(survey)
        masked = round(100 * float(np.mean(survey.ivar == 0)), 1)
        noise[name] = [*ratios, error.min().round(4), np.median(error).round(4), masked]
    quantities = ["S/N, 5 %", "S/N, median", "S/N, 95 %", "least error", "typical error", "masked (%)"]
    record.table("noise", {"quantity": quantities} | noise, formats=dict.fromkeys(noise, ".4g"))


def _ratios(survey: Survey) -> np.ndarray | list[None]:
    """Return the 5th, 50th and 95th percentile of the signal-to-noise ratios; none where the catalogue has none."""
    if "snr" not in survey.catalogue:
        return [None] * 3
    return np.percentile(survey.catalogue["snr"], [5, 50, 95]).round()
