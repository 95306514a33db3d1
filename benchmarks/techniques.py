"""Time and memory of each technique, and of the audit of one label, on one survey.

    python benchmarks/techniques.py [--stars 4000] [--only saliency audit] [--json FILE]

Each runs once in a fresh process, on spectra and fitted models read from disk; compilation counts, reading does not,
nor does the fitting of the models, which is timed by `speed.py`. Permutations that only make a null are left out, but
not the sign flips and injections by which the counterfactual test sets its threshold and its limit. The audit is whole,
with all the models that it fits for itself. Exits with 1 if one takes longer than asked.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from problem import peak_memory_mb

import lux
from lux.statistics import quadratic_terms

LABEL = "eu_fe"
ASKED_SECONDS = {"counterfactuals": 20, "saliency": 20, "probing": 20, "attribution": 20, "audit": 60}


def counterfactuals(survey: lux.Survey, model: lux.Lux, blind: lux.Lux) -> None:
    """One star and its doppelgangers, and many matched pairs, with what either would have seen."""
    from lux.diagnostics import counterfactuals as counterfactual
    from lux.diagnostics import detection_limits, matching

    one = counterfactual.doppelganger_test(survey, LABEL)
    abundance = detection_limits.relative_abundance(survey, LABEL)
    detection_limits.doppelganger_limits(survey, one, abundance)
    pairs, properties = matching.match_on_inferred(survey, blind.predict_labels(survey), LABEL)
    stack = counterfactual.stack_pairs(survey, pairs, quadratic_terms(properties))
    detection_limits.stack_limits(survey, stack, abundance)


def saliency(survey: lux.Survey, model: lux.Lux, blind: lux.Lux) -> None:
    """The four maps of every label, their spikes and what lies there."""
    from lux.diagnostics import line_matching
    from lux.diagnostics import saliency as maps
    from lux.spectroscopy.lines import heavy_element_lines

    backward = maps.backward_map(model, survey)
    maps.forward_map(survey)
    maps.pattern_map(model, survey)
    maps.explained_by_other_labels(backward, LABEL)
    maps.excess_map(model, survey, LABEL, n_permutations=1)
    spikes = line_matching.find_spikes(survey.wavelength, backward.of(LABEL))
    line_matching.match_lines(spikes, heavy_element_lines().wavelength, survey.wavelength)


def probing(survey: lux.Survey, model: lux.Lux, blind: lux.Lux) -> None:
    """The gap over rotations, both probes of every label, unique information, angles and erasure."""
    from lux.diagnostics import erasure, mutual_information
    from lux.diagnostics import probing as probes
    from lux.models import label_directions

    latents, inferred = model.infer_latents(survey), model.predict_labels(survey)
    names, column = list(survey.label_names), survey.label_index(LABEL)
    mutual_information.gap_over_rotations(latents, survey.labels, names, 200)
    for kind in ("linear", "mlp"):
        probes.probe_labels(latents, survey.labels, survey.label_err, names, kind=kind, n_control=0, n_folds=3)
    others = [number for number in range(len(names)) if number != column]
    probes.information_gain(latents, survey.label(LABEL), inferred.labels[:, others], label=LABEL, n_permutations=0)
    label_directions.unique_direction(model, LABEL)
    eraser = erasure.fit_eraser(latents, inferred.labels[:, others])
    probes.probe(eraser.apply(latents), survey.label(LABEL), n_control=0)


def attribution(survey: lux.Survey, model: lux.Lux, blind: lux.Lux) -> None:
    """SHAP over latents in many bases, by the package and in closed form; Shapley over labels and groups of lines."""
    from lux.diagnostics import attribution as shares

    latents, inferred = model.infer_latents(survey), model.predict_labels(survey)
    shares.latent_shap(model, latents)
    shares.shap_package(model, latents)
    shares.shares_over_rotations(model, latents, 200)
    for name in inferred.names:
        shares.label_shapley(inferred.labels, inferred.names, name)
    shares.pixel_shapley(model, survey, shares.line_groups(survey.wavelength), LABEL)


def audit(survey: lux.Survey, model: lux.Lux, blind: lux.Lux) -> None:
    """The audit of one label, four fifths of the stars for training."""
    train, test = survey.split(0.2)
    lux.audit(model, train, test, label=LABEL)


TECHNIQUES = {each.__name__: each for each in (counterfactuals, saliency, probing, attribution, audit)}


def prepare(folder: Path, n_stars: int, seed: int) -> lux.Survey:
    """Write a survey, a model of all labels and a model that was not told of europium; return the survey."""
    survey = lux.load("synthetic", n_stars=n_stars, seed=seed)
    survey.save(folder / "survey.h5")
    lux.Lux(progress=False).fit(survey.split(0.2)[0]).save(folder / "model.npz")
    others = [name for name in survey.label_names if name != LABEL]
    lux.Lux(progress=False).fit(survey.select_labels(others)).save(folder / "blind.npz")
    return survey


def measure(name: str, folder: Path) -> dict:
    """Run one technique in this process; return its seconds and the peak memory in MB, before and after."""
    survey = lux.load(str(folder / "survey.h5"))
    model, blind = (lux.Lux.load(folder / f"{which}.npz") for which in ("model", "blind"))
    before, start = peak_memory_mb(), time.perf_counter()
    TECHNIQUES[name](survey, model, blind)
    return {"seconds": time.perf_counter() - start, "peak_mb": peak_memory_mb(), "before_mb": before}


def run(name: str, folder: Path) -> dict:
    """Return what `measure` returns, from a process of its own, with the load of the machine at its end."""
    command = [sys.executable, __file__, "--measure", name, "--folder", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{name} failed with exit code {done.returncode}:\n{done.stderr[-2000:]}")
    return {**json.loads(done.stdout.splitlines()[-1]), "load": os.getloadavg()[0]}


def main() -> int:
    """Print seconds and memory beside the seconds asked; return 1 if one is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stars", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", choices=TECHNIQUES, default=list(TECHNIQUES))
    parser.add_argument("--json", type=Path, help="write the numbers to this file")
    parser.add_argument("--measure", choices=TECHNIQUES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure, options.folder)))
        return 0
    with tempfile.TemporaryDirectory() as name:
        survey = prepare(Path(name), options.stars, options.seed)
        print(f"{survey.n_stars} stars x {survey.n_pixels} pixels, {os.cpu_count()} cores")
        print(f"{'':16}{'seconds':>9}{'asked':>7}{'peak MB':>9}{'before':>8}{'load':>6}")
        del survey
        rows = {}
        for technique in options.only:
            rows[technique] = row = run(technique, Path(name))
            met = "" if row["seconds"] < ASKED_SECONDS[technique] else "  MISSED"
            print(
                f"{technique:16}{row['seconds']:9.1f}{ASKED_SECONDS[technique]:7d}{row['peak_mb']:9.0f}"
                f"{row['before_mb']:8.0f}{row['load']:6.1f}{met}",
                flush=True,
            )
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return int(any(row["seconds"] >= ASKED_SECONDS[technique] for technique, row in rows.items()))


if __name__ == "__main__":
    sys.exit(main())
