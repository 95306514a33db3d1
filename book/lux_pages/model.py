"""Numbers and tables of the chapter on the model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lux.diagnostics import initialization, transfer
from lux.diagnostics.probing import latent_label_correlations
from lux.diagnostics.reconstruction import Residuals, residuals_by_chip
from lux.figures import label_name, label_text
from lux.models.lux import Lux
from lux.models.prediction import Prediction
from lux.models.starts import labels_as_latents
from lux.paper.record import Record
from lux.paper.setup import Chapter, Windows
from lux.paper.subject import audited_label
from lux.survey import Survey

# After how many steps of the optimizer to look at latents of test stars that began at their labels.
# Further steps, from 2000 on, are the rounding of one machine: the minimization is ill-conditioned.
_STEPS, _EARLY = (0, 1, 3, 10, 30, 100, 300, 1000), 30
_RESIDUAL_COLUMNS = {
    "robust scatter": ("scatter", ".4f"),
    "RMS": ("rms", ".4f"),
    "median error": ("noise", ".4f"),
    "RMS / error": ("chi", ".2f"),
    "RMS / error with $s_\\lambda$": ("chi_with_scatter", ".2f"),
    "autocorrelation": ("autocorrelation", ".2f"),
}


@dataclass(frozen=True)
class Difference:
    """Root mean square and largest difference of two predictions, in median catalogue errors."""

    rms: float
    largest: float


def difference(one: Prediction, other: Prediction, survey: Survey) -> Difference:
    """Return how two predictions of a survey differ, whatever the order of their labels."""
    others = np.stack([other.label(name) for name in one.names], axis=1)
    errors = [np.nanmedian(survey.label_err[:, survey.label_index(name)]) for name in one.names]
    found = (one.labels - others) / errors
    return Difference(float(np.sqrt(np.mean(found**2))), float(np.max(np.abs(found))))


def largest_rms(predictions: Sequence[Prediction], survey: Survey) -> float:
    """Return the largest root mean square difference of any two predictions, in median catalogue errors."""
    return max(difference(one, other, survey).rms for one in predictions for other in predictions)


def starts(chapter: Chapter, train: Survey) -> dict[str, Lux]:
    """Return fits that differ in the start of the latents."""
    return {
        "principal components": chapter.model(train),
        "labels": chapter.model(train, start="labels"),
        "noise": chapter.model(train, start="random", seed=chapter.seed),
    }


@dataclass(frozen=True)
class Unfinished:
    """R squared (S + 1, M) of test labels after `steps` (S,) of a fit that began with them; last, when it is solved."""

    steps: tuple[int, ...]
    label_names: tuple[str, ...]
    explained: np.ndarray


def record_unfinished(chapter: Chapter, survey: Survey) -> Unfinished:
    """Record what latents of test stars that start at their labels tell of the chapter's label and of a canary.

    The model is the published one after its five rounds; it is trained with the canary.
    """
    record, steps = chapter.record, _STEPS[:6] if chapter.quick else _STEPS
    name = audited_label(survey)
    train, test = initialization.with_canary(survey, chapter.seed).split(0.2, seed=chapter.seed)
    train, test = train[:1500], test[:200]
    model = chapter.published_model(train, max_cycles=5)
    path = initialization.unfinished_latents(model, test, labels_as_latents(test, model.n_latents), steps)
    path = np.append(path, model.infer_latents(test)[None], axis=0)
    residual = test.labels - model.a_ - path @ model.A_.T
    explained = 1 - np.nanmean(residual**2, axis=1) / np.nanvar(test.labels, axis=0)
    early = steps.index(_EARLY)
    record("unfinished_label", label_name(name))
    record.numbers(
        unfinished_train=train.n_stars, unfinished_test=test.n_stars, early_steps=_EARLY, last_steps=steps[-1]
    )
    for key, label in (("canary", initialization.CANARY), ("label", name)):
        column = explained[:, test.label_index(label)]
        record.numbers(digits=2, **{f"{key}_early": column[early], f"{key}_solved": column[-1]})
        # Where the minimization has left the canary behind, rounding decides how far a label has come.
        if key == "canary":
            record("canary_last", column[-2], digits=2)
    return Unfinished(steps, test.label_names, explained)


def unfinished_alt(found: Unfinished) -> str:
    """Return what the figure of an unfinished minimization shows, in words."""
    said = []
    for name in (initialization.CANARY, *(name for name in found.label_names if name != initialization.CANARY)):
        start, last, solved = found.explained[[0, -2, -1], found.label_names.index(name)]
        said.append(f"{label_name(name)} {start:.2f}, {last:.2f} and {solved:.2f}")
    return (
        "Held-out R squared of each label and of a canary against the steps of the optimizer. At the start, after "
        f"{found.steps[-1]} steps and in the exact solution: {'; '.join(said)}."
    )


def record_errors(record: Record, model: Lux, prediction: Prediction, test: Survey) -> None:
    """Record whether stated errors are those made: with the scatter of each label, and from the latents alone."""
    variance = prediction.err**2 - model.label_scatter_**2
    latents_error = np.median(np.sqrt(variance), axis=0)
    columns = {
        "label": [label_text(name) for name in test.label_names],
        "error without scatter": latents_error,
        "label scatter": model.label_scatter_,
        "stated error": np.median(prediction.err, axis=0),
        "χ, catalogue": _chi(prediction.labels - test.labels, prediction.err**2 + test.label_err**2),
    }
    record("chi_of_labels", _range(columns["χ, catalogue"], ".2f"))
    worst = int(np.argmax(model.label_scatter_ / latents_error))
    texts: dict[str, Any] = dict.fromkeys(
        ("overconfidence", "overconfidence_of_others", "confidence"), "unknown without the truth"
    )
    if test.truth is not None:
        error = prediction.labels - test.truth.labels
        columns["RMSE, truth"] = np.sqrt(np.mean(error**2, axis=0))
        columns["χ, truth"] = _chi(error, prediction.err**2)
        factors = columns["χ, truth, without scatter"] = _chi(error, variance)
        worst = int(np.argmax(factors))
        others = np.delete(factors, worst)
        texts = {"overconfidence": factors[worst], "confidence": columns["χ, truth"][worst]}
        texts["overconfidence_of_others"] = _range(others, ".1f") if len(others) else "no other"
    record("overconfident_label", label_name(test.label_names[worst]))
    record.numbers(digits=2, **texts)
    record("label_scatter", model.label_scatter_[worst], unit=test.label_units[worst], digits=2)
    formats = {name: ".2f" if "χ" in name else ".3g" for name in columns if name != "label"}
    record.table("errors", columns, formats=formats)


def _chi(error: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Return the root mean square (M,) of errors (N, M) in units of stated standard errors."""
    return np.sqrt(np.nanmean(error**2 / variance, axis=0))


def _range(values: np.ndarray, specification: str) -> str:
    return f"{values.min():{specification}} to {values.max():{specification}}"


def stories(chapter: Chapter, model: Lux, train: Survey) -> dict[str, Lux]:
    """Return the published fit, the same with its labels in reverse order, our fit, and that one rotated at random."""
    reverse = train.select_labels(train.label_names[::-1])
    rotation = np.linalg.qr(np.random.default_rng(chapter.seed).normal(size=(model.n_latents, model.n_latents)))[0]
    return {
        "published start": chapter.published_model(train),
        "published start, labels in reverse order": chapter.published_model(reverse),
        "our fit, canonical gauge": model,
        "our fit, after a random rotation": model.rotate(rotation),
    }


def strengths(fits: Mapping[str, Lux], survey: Survey) -> dict[str, np.ndarray]:
    """Return absolute correlations (M, P) of a survey's labels with the latents of each fit."""
    return {
        title: np.abs(latent_label_correlations(fit.infer_latents(survey), survey.labels))
        for title, fit in fits.items()
    }


def record_stories(
    record: Record, panels: Mapping[str, np.ndarray], predictions: Mapping[str, Prediction], test: Survey
) -> str:
    """Record which latent goes best with each label, and how far predictions move; return the largest move's text."""
    published, reverse, ours, rotated = predictions.values()
    turned = difference(ours, rotated, test).largest
    swapped = difference(published, reverse, test).rms
    record("rotation_difference", turned, bound=1e-5)
    record("reversal_difference", swapped, bound=1e-5)
    record("published_difference", difference(published, ours, test).rms, digits=2)
    names = test.label_names
    strongest = {title: [int(np.argmax(row)) + 1 for row in panel] for title, panel in panels.items()}
    columns = {"label": [label_text(name, with_unit=False) for name in names]}
    for title, panel in panels.items():
        rows = zip(strongest[title], panel, strict=True)
        columns[title] = [f"{latent} ({row.max():.2f})" for latent, row in rows]
    record.table("strongest", columns)
    first, last = strongest["published start"], strongest["published start, labels in reverse order"]
    for name, one, other in zip(("first_label", *names), (first[0], *first), (last[0], *last), strict=True):
        record(f"latent_of_{name}", one)
        record(f"latent_of_{name}_reversed", other)
    record("first_label", label_name(names[0]))
    return record("largest_story_difference", largest_rms(list(predictions.values()), test), digits=2)


def record_starts(record: Record, fits: Mapping[str, Lux], prediction: Prediction, train: Survey, test: Survey) -> None:
    """Record whether a fit's start, algorithm and prior change the error of its predictions, and what its latents keep.

    Parameters
    ----------
    record : Record
    fits : dict of str to Lux
        "ours", "published" and "published, five rounds" among them.
    prediction : Prediction
        That of our fit.
    train, test : Survey
    """
    names = test.label_names
    told = {title: fit.predict_labels(test) for title, fit in fits.items()}
    scores = {title: transfer.score(each, test, n_bootstrap=50) for title, each in told.items()}
    columns = {
        "fit": list(fits),
        "cycles": [len(fit.history_) for fit in fits.values()],
        "apart from ours": [difference(each, prediction, test).rms for each in told.values()],
    }
    formats = {"apart from ours": ".3f"}
    for name in names:
        heading = label_text(name, with_unit=False)
        columns[heading] = [score[name].rmse for score in scores.values()]
        formats[heading] = ".1f" if name == "teff" else ".4f"
    record.table("starts", columns, formats=formats)
    latents = fits["published"].latents_
    kept = np.abs(np.diagonal(latent_label_correlations(latents, train.labels)))
    record("label_latents_keep", _range(kept, ".2f"))
    width = latents.std(axis=0)
    record("other_latents_spread", np.median(width[len(names) :]) / np.median(width[: len(names)]), digits=1)
    rmse = {title: score[names[0]].rmse.value for title, score in scores.items()}
    record("published_over_ours", rmse["published"] / rmse["ours"], digits=4)
    record("five_rounds_over_ours", rmse["published, five rounds"] / rmse["ours"], digits=4)


def record_latent_numbers(record: Record, scores: Mapping[int, np.ndarray], chosen: int, names: Sequence[str]) -> None:
    """Record what more latents gain, from held-out errors (M,) by number of latents, the published 21 among them."""
    record("best_n_latents", chosen)
    record("least_candidate", min(scores))
    gains = 100 * (1 - scores[21] / scores[min(scores)])
    flattest = int(np.argmin(gains))
    others = np.delete(gains, flattest)
    record("flattest_label", label_name(names[flattest]))
    record("gain_of_flattest", gains[flattest], text=f"{gains[flattest]:.0f} %".replace("-", "−"))
    record("gain_of_others", f"{others.min():.0f} % to {others.max():.0f} %")
    loss = 100 * (np.sqrt(np.mean(scores[21] ** 2) / np.mean(scores[chosen] ** 2)) - 1)
    record("loss_at_21", loss, text=f"{loss:.1f} %")


def rebuilt_surveys(chapter: Chapter, model: Lux, test: Survey) -> dict[str, tuple[Lux, Survey]]:
    """Return models with held-out stars: those of the chapter, and those of the genuine spectra."""
    rebuilt = {chapter.source: (model, test)}
    if chapter.source != "apogee-dr10":
        train, held_out = chapter.survey("apogee-dr10").split(0.2, seed=chapter.seed)
        rebuilt["apogee-dr10"] = (chapter.model(train, n_latents=10 if chapter.quick else 30, tolerance=0.05), held_out)
    return rebuilt


def record_residuals(record: Record, rebuilt: Mapping[str, tuple[Lux, Survey]], source: str) -> None:
    """Record how far rebuilt spectra are from observed ones, chip by chip; `source` names the chapter's survey."""
    found = {
        name: residuals_by_chip(survey, model.predict_flux(survey), model.scatter_)
        for name, (model, survey) in rebuilt.items()
    }
    rows = [(name, each) for name, chips in found.items() for each in chips]
    columns = {"spectra": [name for name, _ in rows], "chip": [each.chip for _, each in rows]}
    for heading, (quantity, _) in _RESIDUAL_COLUMNS.items():
        columns[heading] = [getattr(each, quantity) for _, each in rows]
    record.table("residuals", columns, formats={heading: format for heading, (_, format) in _RESIDUAL_COLUMNS.items()})
    ours, real = found[source], found["apogee-dr10"]
    record.numbers(chi_with_scatter=_pooled(ours, "chi_with_scatter"), chi=_pooled(ours, "chi"))
    record.numbers(
        digits=2,
        chi_real=_pooled(real, "chi"),
        chi_real_with_scatter=_pooled(real, "chi_with_scatter"),
        rms_real=_pooled(real, "scatter"),
    )
    model, survey = rebuilt["apogee-dr10"]
    record.numbers(n_latents_real=model.n_latents, n_test_real=survey.n_stars)


def _pooled(chips: Sequence[Residuals], quantity: str) -> float:
    """Return the root mean square of a quantity over the chips of one survey."""
    n_pixels = [each.n_pixels for each in chips]
    return np.sqrt(np.average([getattr(each, quantity) ** 2 for each in chips], weights=n_pixels))


def median_star(model: Lux, survey: Survey) -> int:
    """Return the row of the star whose rebuilt spectrum has the median chi squared."""
    chi_squared = np.sum((survey.flux - model.predict_flux(survey)) ** 2 * survey.ivar, axis=1)
    return int(np.argsort(chi_squared)[survey.n_stars // 2])


def windows_with_light(survey: Survey, windows: Windows) -> Windows:
    """Return the windows in which every star has a good pixel; the whole survey as one where there is none."""
    good = [survey.ivar[:, survey.pixels_within([window])] > 0 for window in windows]
    lit = [window for window, pixels in zip(windows, good, strict=True) if pixels.any(axis=1).all()]
    return lit or [(survey.wavelength[0], survey.wavelength[-1])]
