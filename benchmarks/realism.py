"""How real the synthetic spectra look: genuine DR10 giants beside synthetic spectra at their labels.

    python benchmarks/realism.py [--json FILE] [--figure FILE] [--calibrate]

Giants with 4300 < Teff < 4900 K and S/N > 150 are divided by a checksum of their name into a calibration half, on
which the global constants of `lux.simulation.layers.Physics` were chosen, and a held-out half. Per star: Pearson
correlation of observed and synthetic flux over unmasked pixels, the correlation that the stated errors would let a
perfect spectrum reach, and the ratio of the mean line depths (1 - mean flux). `--calibrate` repeats the choice of the
constants from neutral values (minutes) and prints them.
"""

import argparse
import json
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

import lux
from lux.figures import COLORS, chip_panels, paper_style, spectrum_panel
from lux.simulation.layers import Physics
from lux.simulation.realism import RELEASE, compare, measure_groups, select_giants, synthetic_counterparts
from lux.simulation.synthesis import synthesize
from lux.spectroscopy.instrument import chip_ranges, wavelength_grid

# Where --calibrate starts: line data as published, textbook values elsewhere.
NEUTRAL = Physics(
    rosseland_scale=1.0, microturbulence=(2.24, -0.3, 0.0),
    macroturbulence=3.0, carbon_isotope_ratio=15.0, strength_offset=(("atoms", 0.0),), continuum_clip=1.5,
    damping_scale=1.0, stark_width=27.0,
)  # fmt: skip

# What --calibrate varies: field, index within it (None for a scalar), first step.
FREE = [
    ("rosseland_scale", None, 0.15),
    ("microturbulence", 0, 0.2), ("microturbulence", 1, 0.1), ("microturbulence", 2, 0.1),
    ("macroturbulence", None, 1.0), ("carbon_isotope_ratio", None, 5.0), ("continuum_clip", None, 0.05),
    ("damping_scale", None, 0.5), ("stark_width", None, 5.0),
    *(("strength_offset", name, 0.08) for name in ("CN", "CO", "OH", "C2", "Ce", "H", "atoms")),
]  # fmt: skip


def unexplained(giants, synthetic):
    """Mean over stars of residual over total sum of squares, at most 3 a star: what --calibrate minimises."""
    good = giants.ivar > 0
    mean = np.sum(giants.flux * good, axis=1, keepdims=True) / good.sum(axis=1, keepdims=True)
    residual = np.sum(good * (giants.flux - synthetic) ** 2, axis=1)
    return float(np.mean(np.minimum(residual / np.sum(good * (giants.flux - mean) ** 2, axis=1), 3.0)))


def changed(physics, name, part, step):
    """The constants with one of them moved by `step`."""
    value = getattr(physics, name)
    if part is None:
        return replace(physics, **{name: value + step})
    if isinstance(part, int):
        return replace(physics, **{name: tuple(v + step * (i == part) for i, v in enumerate(value))})
    # A species without an offset of its own starts from that of the atoms.
    offsets = {part: dict(value)["atoms"]} | dict(value)
    offsets[part] += step
    return replace(physics, **{name: tuple(offsets.items())})


def calibrate(giants, physics, n_sweeps=6):
    """Pattern search over the global constants, one at a time, steps growing on success and halving on failure."""
    steps = [step for *_, step in FREE]
    best = unexplained(giants, synthetic_counterparts(giants, physics))
    for sweep in range(n_sweeps):
        for index, (name, part, _) in enumerate(FREE):
            for sign in (1.0, -1.0):
                trial = changed(physics, name, part, sign * steps[index])
                score = unexplained(giants, synthetic_counterparts(giants, trial))
                if score < best:
                    best, physics = score, trial
                    steps[index] *= 1.3 * sign
                    break
            else:
                steps[index] *= 0.5
        print(f"sweep {sweep + 1}: unexplained fraction {best:.4f}", file=sys.stderr, flush=True)
    return physics


@paper_style()
def draw(giants, synthetic, path):
    """Draw the held-out giant of median correlation, observed and synthetic, chip by chip."""
    correlation = compare(giants.flux, giants.ivar, synthetic)["correlation"]
    star = int(np.argsort(correlation)[len(correlation) // 2])
    grid = wavelength_grid()
    limits = [(grid[first], grid[last - 1]) for first, last in chip_ranges(RELEASE).values()]
    figure, axes = chip_panels(limits)
    for axis, limit in zip(axes, limits, strict=True):
        options = {"limits": limit, "linewidth": 0.7}
        spectrum_panel(axis, giants.wavelength, giants.flux[star], ivar=giants.ivar[star], label="observed", **options)
        spectrum_panel(axis, giants.wavelength, synthetic[star], color=COLORS["model"], label="synthetic", **options)
        axis.set_ylim(0.5, 1.1)
    teff, m_h = giants.label("teff")[star], giants.label("m_h")[star]
    axes[0].set_title(f"{giants.star_id[star]}: {teff:.0f} K, [M/H] = {m_h:.2f}, r = {correlation[star]:.3f}")
    axes[0].legend(loc="lower right", ncols=2)
    figure.savefig(path)


def time_synthesis(n_stars=5000, seed=0):
    """Wall-clock seconds for a survey's worth of spectra (compilation included when it comes first)."""
    rng = np.random.default_rng(seed)
    start = time.perf_counter()
    synthesize(rng.uniform(4000, 5200, n_stars), rng.uniform(0.8, 3.2, n_stars), rng.uniform(-1.0, 0.3, n_stars))
    return time.perf_counter() - start


def main(arguments=None):
    """Print the table; write what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the numbers to this file")
    parser.add_argument("--figure", type=Path, help="draw the median held-out giant, chip by chip")
    parser.add_argument("--calibrate", action="store_true", help="choose the global constants again and use them")
    options = parser.parse_args(arguments)
    seconds = time_synthesis()
    giants, calibration = select_giants(lux.load("apogee-dr10"))
    physics = calibrate(giants[calibration], NEUTRAL) if options.calibrate else Physics()
    if options.calibrate:
        print(physics)
    synthetic = synthetic_counterparts(giants, physics)
    halves = {"calibration half": calibration, "held-out half": ~calibration}
    groups = {
        f"{half}, {name}": row
        for half, members in halves.items()
        for name, row in measure_groups(giants[members], synthetic[members]).items()
    }
    titles = ("stars", "r", "r p10", "ceiling", "depth observed", "synthetic", "ratio")
    widths = (5, 6, 6, 7, 15, 10, 6)
    print(f"{'group':42s}", *(f"{title:>{width}s}" for title, width in zip(titles, widths, strict=True)))
    for name, row in groups.items():
        print(
            f"{name:42s} {row['n_stars']:5d} {row['correlation_median']:6.3f} {row['correlation_p10']:6.3f}"
            f" {row['ceiling_median']:7.3f} {row['observed_depth']:15.4f} {row['synthetic_depth']:10.4f}"
            f" {row['depth_ratio_median']:6.3f}"
        )
    print(f"5000 synthetic spectra in {seconds:.1f} s, compilation included")
    if options.json:
        content = {"groups": groups, "physics": asdict(physics), "seconds_for_5000_spectra": seconds}
        options.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    if options.figure:
        draw(giants[~calibration], synthetic[~calibration], options.figure)
    return 0


if __name__ == "__main__":
    sys.exit(main())
