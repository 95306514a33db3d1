"""Is the shortcut to be seen? Europium from spectra without and with europium lines, asked for beside measured.

    python benchmarks/shortcut.py [--stars 4000] [--test-stars 1000] [--json FILE]

Two synthetic worlds of the same stars: `shortcut`, without a europium line, and `signal`, with three lines of 3 % per
standard deviation of [Eu/Fe]. r-process-enhanced stars are disc stars whose europium alone was raised. Exits with 1 if
a figure is missed.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np

import lux
from lux.diagnostics.transfer import paired_difference, response_slope, score
from lux.models.baselines import LabelsOnly

LABEL = "eu_fe"


def measure(world, n_train, n_test, seed):
    """What a model trained in one world says about europium, as a dict of JSON-able values (dex unless a slope)."""
    survey = lux.load("synthetic", n_stars=n_train + n_test, seed=seed, world=world)
    train, test = survey[:n_train], survey[n_train:]
    model = lux.Lux(progress=False).fit(train)
    prediction, guess = model.predict_labels(test), LabelsOnly(model).fit(train).predict_labels(test)
    mine, theirs = score(prediction, test)[LABEL], score(guess, test)[LABEL]
    difference = paired_difference(prediction, guess, test, LABEL)
    enhanced = lux.load("synthetic", n_stars=n_test // 2, seed=seed + 1000, world=world, population="r-I")
    predicted, true = model.predict_labels(enhanced), enhanced.truth.columns[LABEL]
    slope = response_slope(predicted, true, LABEL)
    return {
        "eu_rmse": mine.rmse.value,
        "eu_rmse_68": [mine.rmse.low, mine.rmse.high],
        "eu_catalogue_error": mine.catalogue_error,
        "eu_intrinsic": mine.intrinsic.value,
        "eu_labels_only_rmse": theirs.rmse.value,
        "eu_paired_difference": difference.value,
        "eu_paired_difference_95": [difference.low, difference.high],
        "r_enhanced_mean": float(true.mean()),
        "r_enhanced_excess": float(enhanced.truth.columns["eu_residual"].mean()),
        "r_enhanced_bias": float(np.mean(predicted.label(LABEL) - true)),
        "r_enhanced_slope": slope.value,
        "r_enhanced_slope_68": [slope.low, slope.high],
        "n_cycles": len(model.history_),
        "converged": model.converged_,
    }


def verdicts(shortcut, signal):
    """Rows of (what is asked, the figure asked, the figure measured, whether it is met)."""
    ratio = shortcut["eu_rmse"] / shortcut["eu_catalogue_error"]
    low, high = shortcut["eu_paired_difference_95"]
    signal_low, signal_high = signal["eu_paired_difference_95"]
    missed = -shortcut["r_enhanced_bias"] / shortcut["r_enhanced_excess"]
    left = -signal["r_enhanced_bias"] / signal["r_enhanced_excess"]
    return [
        ("shortcut: RMSE / catalogue error", "0.7 to 1.3", f"{ratio:.3f}", 0.7 <= ratio <= 1.3),
        ("shortcut: RMSE - labels only", "interval holds 0", f"{low:+.4f} to {high:+.4f} dex", low <= 0 <= high),
        ("signal: RMSE - labels only", "below 0", f"{signal_low:+.4f} to {signal_high:+.4f} dex", signal_high < 0),
        ("signal: RMSE / RMSE in shortcut", "below 1", f"{signal['eu_rmse'] / shortcut['eu_rmse']:.3f}",
         signal["eu_rmse"] < shortcut["eu_rmse_68"][0]),
        ("shortcut: enhancement missed", "above 50 %", f"{100 * missed:.0f} %", missed > 0.5),
        ("signal: enhancement missed", "below 50 %", f"{100 * left:.0f} %", left < 0.5),
    ]  # fmt: skip


def main(arguments=None):
    """Print the figures asked for beside those measured; return 1 if one is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stars", type=int, default=4000, help="training stars")
    parser.add_argument("--test-stars", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write the numbers to this file")
    options = parser.parse_args(arguments)
    worlds = {
        world: measure(world, options.stars, options.test_stars, options.seed) for world in ("shortcut", "signal")
    }
    for world, values in worlds.items():
        print(
            f"{world:9s} Eu RMSE {values['eu_rmse']:.4f} (labels only {values['eu_labels_only_rmse']:.4f}, catalogue "
            f"error {values['eu_catalogue_error']:.4f}, intrinsic {values['eu_intrinsic']:.4f}) dex; enhanced stars: "
            f"bias {values['r_enhanced_bias']:+.3f} of {values['r_enhanced_excess']:.3f} dex, "
            f"slope {values['r_enhanced_slope']:.3f}"
        )
    rows = verdicts(worlds["shortcut"], worlds["signal"])
    print(f"\n{'':36s}{'asked':>18s}{'measured':>28s}")
    for name, asked, measured, met in rows:
        print(f"{name:36s}{asked:>18s}{measured:>28s}  {'met' if met else 'MISSED'}")
    if options.json:
        checks = [dict(zip(("name", "asked", "measured", "met"), row, strict=True)) for row in rows]
        options.json.write_text(json.dumps({"worlds": worlds, "checks": checks}, indent=1) + "\n", encoding="utf-8")
    return int(not all(met for *_, met in rows))


if __name__ == "__main__":
    sys.exit(main())
