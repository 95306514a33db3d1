"""The main job on real spectra: Lux on genuine APOGEE DR10 giants, against the other models.

    python benchmarks/real_spectra.py [--latents N] [--by star cluster] [--json FILE]

Every star is predicted by models trained without it (five folds of stars), then by models trained without its whole
cluster. The number of latents is chosen inside the training stars of each fold by twofold cross-validation, unless
`--latents` fixes it. All six labels of the survey are fitted; the four that are reported are compared with the
calibrated DR10 labels. Minutes; the first run fetches the spectra.
"""

import argparse
import collections
import json
import time
from pathlib import Path

import numpy as np

import lux
from lux.diagnostics.transfer import compare, score
from lux.models.model_selection import (
    best_latent_number,
    cross_validate,
    folds_by_group,
    folds_by_star,
    score_latent_numbers,
)

LABELS = ("teff", "logg", "m_h", "alpha_m")
CANDIDATES = (10, 20, 40)
TOLERANCE = 0.02


def predictor(n_latents, chosen):
    """A function of training and test survey that returns all predictions; it notes the latents it took in `chosen`."""

    def predict(train, test):
        number = n_latents or best_latent_number(score_latent_numbers(train, CANDIDATES, n_folds=2, tolerance=0.05))
        chosen[number] += 1
        return compare(lux.Lux(number, tolerance=TOLERANCE, progress=False).fit(train), train, test)

    return predict


def measure(survey, by, n_latents):
    """Scores of every model for one way of holding out, as a dict of JSON-able values."""
    folds = folds_by_star(survey, 5) if by == "star" else folds_by_group(survey, "cluster")
    chosen = collections.Counter()
    started = time.perf_counter()
    predictions = cross_validate(survey, folds, predictor(n_latents, chosen))
    scores = {name: score(prediction, survey) for name, prediction in predictions.items()}
    keys = ("rmse", "bias", "scatter", "chi", "intrinsic")
    return {
        "n_latents": {str(number): count for number, count in sorted(chosen.items())},
        "seconds": time.perf_counter() - started,
        "catalogue_error": {label: scores["Lux"][label].catalogue_error for label in LABELS},
        "models": {
            name: {
                label: {key: getattr(each[label], key).value for key in keys}
                | {"rmse_68": [each[label].rmse.low, each[label].rmse.high]}
                for label in LABELS
            }
            for name, each in scores.items()
        },
    }


def table(by, measured):
    """The lines of one table: RMSE of every model with half its 68 % interval, bias of Lux below."""
    lines = [f"held out by {by}; latents of the folds: {measured['n_latents']}; {measured['seconds']:.0f} s"]
    lines.append(f"{'RMSE':16s}" + "".join(f"{name:>20s}" for name in LABELS))
    for name, labels in measured["models"].items():
        cells = []
        for label in LABELS:
            low, high = labels[label]["rmse_68"]
            places = 1 if label == "teff" else 4
            cells.append(f"{labels[label]['rmse']:.{places}f} +- {(high - low) / 2:.{places}f}")
        lines.append(f"{name:16s}" + "".join(f"{cell:>20s}" for cell in cells))
    biases = {label: measured["models"]["Lux"][label]["bias"] for label in LABELS}
    for title, values in (("catalogue error", measured["catalogue_error"]), ("bias of Lux", biases)):
        lines.append(f"{title:16s}" + "".join(f"{values[label]:20.4g}" for label in LABELS))
    return "\n".join(lines)


def main(arguments=None):
    """Print a table for each way of holding out; write the numbers if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--latents", type=int, help="fix the number of latents instead of choosing it")
    parser.add_argument("--by", nargs="+", choices=("star", "cluster"), default=("star", "cluster"))
    parser.add_argument("--json", type=Path, help="write the numbers to this file")
    options = parser.parse_args(arguments)
    survey = lux.load("apogee-dr10")
    print(f"{survey.n_stars} stars, {survey.n_pixels} pixels, {len(np.unique(survey.catalogue['cluster']))} clusters")
    report = {}
    for by in options.by:
        report[by] = measure(survey, by, options.latents)
        print("\n" + table(by, report[by]), flush=True)
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
