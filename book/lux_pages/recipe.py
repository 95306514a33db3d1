"""The published recipe in surveys whose truth is known: what the chapters on latents share."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from lux.controls.ensemble import WINDOWS
from lux.datasets.load import load
from lux.diagnostics.attribution import LatentAttribution, latent_shap
from lux.diagnostics.mutual_information import MutualInformationGap, mutual_information_gap
from lux.diagnostics.probing import latent_label_correlations
from lux.paper.record import Record
from lux.paper.setup import Chapter, Fitted
from lux.paper.subject import EUROPIUM, in_words
from lux.simulation.strengths import line_strengths
from lux.simulation.worlds import World
from lux.survey import Survey

# What is planted, by the change of flux per standard deviation of [Eu/Fe] (see `line_strengths` for other units).
_PLANTED = {"shortcut": World(), "faint": World("signal", depth=0.01), "signal": World("signal", depth=0.03)}
# Where the recipe could have been another: the study's paper gives five rounds, its blog post no number.
FIVE_ROUNDS = "windows, five rounds"
_VARIANTS: dict[str, dict[str, Any]] = {
    "windows": {},
    FIVE_ROUNDS: {"max_cycles": 5, "tolerance": 0.0},
    "windows, $\\Omega$ = 1": {"omega": 1.0},
    "windows, 13 latents": {"n_latents": 13},
    "windows, 25 latents": {"n_latents": 25},
}
# Slopes of a europium that follows alpha more closely than iron; its variance is that of the default survey.
_ON_IRON, _ON_ALPHA = -0.15, 1.0
FOLLOWER = "follower"


@dataclass(frozen=True)
class Published:
    """The published fit of one survey, in the basis in which it ends; latent k starts at label k."""

    fitted: Fitted

    @property
    def column(self) -> int:
        """Place of the audited label, and of the latent that starts there."""
        return self.fitted.test.label_names.index(self.fitted.label)

    @cached_property
    def gap(self) -> MutualInformationGap:
        """Mutual Information Gaps of the test stars."""
        test = self.fitted.test
        return mutual_information_gap(self.fitted.latents, test.labels, test.label_names)

    @property
    def is_lowest(self) -> bool:
        """Whether the audited label has the lowest gap."""
        return int(np.argmin(self.gap.gap)) == self.column

    @cached_property
    def correlations(self) -> np.ndarray:
        """Correlations (M, P) of labels with latents."""
        return latent_label_correlations(self.fitted.latents, self.fitted.test.labels)

    @property
    def own(self) -> float:
        """Size of the correlation of the audited label with the latent that starts there."""
        return float(abs(self.correlations[self.column, self.column]))

    @property
    def best(self) -> list[int]:
        """The two latents that correlate most with the audited label, the best first."""
        return [int(latent) for latent in np.argsort(-np.abs(self.correlations[self.column]))[:2]]

    @cached_property
    def attribution(self) -> LatentAttribution:
        """SHAP values of the test stars."""
        return latent_shap(self.fitted.model, self.fitted.latents)

    @property
    def own_share(self) -> float:
        """Share of the latent that starts at the audited label in its SHAP values."""
        return float(self.attribution.share[self.column, self.column])

    def latent(self, number: int) -> str:
        """Return in words at which label a latent starts."""
        names = self.fitted.test.label_names
        if number >= len(names):
            return "no label's"
        return "its own" if number == self.column else f"{in_words(names[number])}'s"


def fits(chapter: Chapter) -> dict[str, Published]:
    """Return the published fits of the chapter's survey, and of synthetic ones with weaker and with stronger lines."""
    found = {"shortcut": _fit(chapter, chapter.survey())}
    for name in ("faint", "signal"):
        found[name] = _fit(chapter, chapter.survey("synthetic", world=_PLANTED[name]))
    return found


def default_fits(chapter: Chapter, published: Mapping[str, Published]) -> dict[str, Fitted]:
    """Return the default fits of the same halves, without lines and with the stronger ones."""
    halves = {name: published[name].fitted for name in ("shortcut", "signal")}
    return {name: Fitted(each.train, each.test, chapter.model(each.train)) for name, each in halves.items()}


def _fit(chapter: Chapter, survey: Survey) -> Published:
    train, test = survey.split(0.5, seed=chapter.seed)
    return Published(Fitted(train, test, chapter.published_model(train)))


def variants(chapter: Chapter, published: Mapping[str, Published]) -> Iterator[tuple[str, Mapping[str, Published]]]:
    """Yield the recipe and its variants with their fits; windows are those of the chapter on controls."""
    yield "all pixels, as published", published
    inside = {
        name: (_within_windows(each.fitted.train), _within_windows(each.fitted.test))
        for name, each in published.items()
    }
    for variant, settings in _VARIANTS.items():
        yield (
            variant,
            {
                name: Published(Fitted(train, test, chapter.published_model(train, **settings)))
                for name, (train, test) in inside.items()
            },
        )


def _within_windows(survey: Survey) -> Survey:
    """Return the pixels of a survey in the windows, or all where it has none there."""
    inside = survey.pixels_within(WINDOWS)
    return survey.select_pixels(inside) if inside.any() else survey


def repeated(chapter: Chapter, n_surveys: int) -> dict[str, list[Published]]:
    """Return published fits of several synthetic surveys of each kind, in the windows of the chapter on controls.

    The surveys have the same stars and differ in europium's own scatter, noise and masks. `FOLLOWER` has no line
    either, but a europium that follows alpha more closely.
    """
    found: dict[str, list[Published]] = {name: [] for name in (*_PLANTED, FOLLOWER)}
    for number in range(1, n_surveys + 1):
        seeds = {"seed": chapter.seed + number, "star_seed": chapter.seed}
        for name, world in _PLANTED.items():
            survey = load("synthetic", n_stars=chapter.n_stars, world=world, wavelength_range=WINDOWS, **seeds)
            found[name].append(_fit(chapter, survey))
            if name == "shortcut":
                found[FOLLOWER].append(_fit(chapter, following_alpha(survey)))
    return found


def following_alpha(survey: Survey) -> Survey:
    """Return a synthetic survey without lines with another relation of europium to iron and alpha, the noise kept."""
    assert survey.truth is not None, "simulated surveys have their truth"
    column, true = survey.label_index(EUROPIUM), survey.truth.columns
    europium = _ON_IRON * true["fe_h"] + _ON_ALPHA * true["alpha_fe"] + true["eu_residual"]
    labels = survey.labels.copy()
    labels[:, column] += europium - true["eu_fe"]
    return survey.replace(labels=labels)


def titles(record: Record, target: str) -> dict[str, str]:
    """Record how strong the planted lines are; return what each world is called."""
    named = {"shortcut": "no europium line" if target == EUROPIUM else "as observed"}
    for name in ("faint", "signal"):
        strength = line_strengths(_PLANTED[name])
        width = record(f"{name}_width", float(np.mean(strength.equivalent_width)), unit="mÅ", digits=2)
        record(f"{name}_depth", float(100 * np.mean(strength.depth)), unit="%", digits=2)
        record(f"{name}_change", float(100 * np.mean(strength.change)), unit="%", digits=1)
        named[name] = f"lines of {width}"
    return named
