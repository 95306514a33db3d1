"""How real the synthetic spectra look: observed DR10 giants beside synthetic spectra at their catalogue labels.

A checksum of their name divides the giants into a calibration half, on which the global constants of
`lux.simulation.layers.Physics` were chosen (`benchmarks/realism.py --calibrate`), and a held-out half, to judge them.
"""

import zlib
from typing import Any

import numpy as np

from lux.simulation.layers import DEFAULT_PHYSICS, Physics
from lux.simulation.synthesis import synthesize
from lux.spectroscopy.instrument import chip_of_pixel, chip_ranges, nearest_pixel
from lux.statistics import bootstrap_groups, bootstrap_rows
from lux.survey import Survey

RELEASE = "dr10"
_TEFF_RANGE, _MIN_SNR = (4300.0, 4900.0), 150.0
_LABELS = ("teff", "logg", "m_h", "alpha_m", "c_m", "n_m")
_METALLICITIES = {
    "[M/H] < −1.5": (-9.0, -1.5),
    "−1.5 < [M/H] < −0.8": (-1.5, -0.8),
    "[M/H] > −0.8": (-0.8, 9.0),
}


def select_giants(survey: Survey) -> tuple[Survey, np.ndarray]:
    """Return the giants of the comparison and a mask (N,) of those in the calibration half.

    Giants have 4300 < Teff < 4900 K and a signal-to-noise ratio above 150.
    """
    teff = survey.label("teff")
    giants = survey[(teff > _TEFF_RANGE[0]) & (teff < _TEFF_RANGE[1]) & (survey.catalogue["snr"] > _MIN_SNR)]
    return giants, np.array([zlib.crc32(str(name).encode()) % 2 == 0 for name in giants.star_id])


def synthetic_counterparts(giants: Survey, physics: Physics = DEFAULT_PHYSICS) -> np.ndarray:
    """Return noise-free synthetic flux (N, D) at the catalogue labels; a missing [C/M] or [N/M] counts as solar."""
    teff, logg, m_h, alpha_m, c_m, n_m = (np.nan_to_num(giants.label(name)) for name in _LABELS)
    flux = synthesize(teff, logg, m_h, alpha_m, {"C": c_m, "N": n_m}, release=RELEASE, physics=physics)
    return flux[:, nearest_pixel(giants.wavelength)]


def compare(observed: np.ndarray, ivar: np.ndarray, synthetic: np.ndarray) -> dict[str, np.ndarray]:
    """Compare observed flux (N, D) with synthetic flux (N, D) star by star, over the pixels with ivar above 0.

    Returns a dict of arrays (N,): ``correlation`` (Pearson), ``ceiling`` (the correlation that the synthetic spectrum
    would have with itself under the stated errors), ``observed_depth`` and ``synthetic_depth`` (1 - mean flux).
    """
    rows = []
    for flux, weight, model in zip(observed, ivar, synthetic, strict=True):
        good = weight > 0
        variance = np.var(model[good])
        ceiling = np.sqrt(variance / (variance + np.mean(1 / weight[good])))
        correlation = np.corrcoef(flux[good], model[good])[0, 1]
        rows.append((correlation, ceiling, 1 - flux[good].mean(), 1 - model[good].mean()))
    names = ("correlation", "ceiling", "observed_depth", "synthetic_depth")
    return dict(zip(names, np.array(rows, dtype=float).T, strict=True))


def summarize(compared: dict[str, np.ndarray], members: np.ndarray | None = None) -> dict[str, Any]:
    """Return medians over the stars of a group, `members` a mask (N,), of what `compare` returns, as a dict."""
    chosen = {name: values if members is None else values[members] for name, values in compared.items()}
    ratio = chosen["synthetic_depth"] / chosen["observed_depth"]
    return {
        "n_stars": len(ratio),
        "correlation_median": float(np.median(chosen["correlation"])),
        "correlation_p10": float(np.percentile(chosen["correlation"], 10)),
        "ceiling_median": float(np.median(chosen["ceiling"])),
        "observed_depth": float(np.median(chosen["observed_depth"])),
        "synthetic_depth": float(np.median(chosen["synthetic_depth"])),
        "depth_ratio_median": float(np.median(ratio)),
        "depth_ratio_p16_p84": np.percentile(ratio, [16, 84]).tolist(),
    }


def median_error(values: np.ndarray, seed: int = 0, n_resamples: int = 1000, groups: np.ndarray | None = None) -> float:
    """Return the standard error of the median of values (N,) by the bootstrap, of whole `groups` (N,) if given."""
    if groups is not None:
        drawn = bootstrap_groups(groups, n_resamples, seed)
        return float(np.std([np.median(np.asarray(values)[rows]) for rows in drawn]))
    rows = bootstrap_rows(len(values), n_resamples, seed)
    return float(np.std(np.median(np.asarray(values)[rows], axis=1)))


def measure_groups(giants: Survey, synthetic: np.ndarray) -> dict[str, dict[str, Any]]:
    """Return `summarize` of all giants, of each range of metallicity and of each chip, as a dict of dicts."""
    compared = compare(giants.flux, giants.ivar, synthetic)
    m_h = giants.label("m_h")
    groups = {"all": summarize(compared)}
    for name, (low, high) in _METALLICITIES.items():
        members = (m_h > low) & (m_h <= high)
        if members.any():
            groups[name] = summarize(compared, members)
    chip = chip_of_pixel(RELEASE)[nearest_pixel(giants.wavelength)]
    for name in chip_ranges(RELEASE):
        here = chip == name
        groups[f"{name} chip"] = summarize(compare(giants.flux[:, here], giants.ivar[:, here], synthetic[:, here]))
    return groups
