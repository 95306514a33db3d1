"""What every chapter begins with: its record, the surveys it looks at, and the models fitted to them.

`default_survey` and `default_model` are the only places where a chapter's surveys and default models are made: what
several chapters need is computed by the first of them and read by the others (`lux.store`).
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from lux.datasets.load import load
from lux.models.lux import Lux
from lux.models.prediction import Prediction
from lux.paper.record import Record
from lux.paper.subject import audited_label, caveat, missing
from lux.store.products import kept
from lux.survey import Survey, label_name, plain_name

Windows = Sequence[tuple[float, float]]

_QUICK_TOLERANCE = 0.02


@dataclass(frozen=True)
class Chapter:
    """A chapter with the parameters of its notebook.

    Parameters
    ----------
    record : Record
    dataset, profile : str
    seed, n_stars : int
        The notebook's parameters; the data set is "synthetic" where it has none.
    windows : sequence of (float, float)
        Vacuum wavelengths in Angstrom to which the quick profile keeps; all pixels where there are none.
    tolerance : float
        Of the default models, in label errors.
    """

    record: Record
    dataset: str
    profile: str
    seed: int
    n_stars: int
    windows: Windows
    tolerance: float

    @property
    def quick(self) -> bool:
        """Whether little is to be computed."""
        return self.profile == "quick"

    @property
    def synthetic(self) -> bool:
        """Whether the chapter is about the synthetic survey."""
        return self.dataset == "synthetic"

    @property
    def source(self) -> str:
        """Name of the data set for running text."""
        return Path(self.dataset).stem

    def survey(self, source: str | None = None, **options: Any) -> Survey:
        """Return the survey that the chapter is about, or another one; `options` are those of a synthetic survey."""
        source = self.dataset if source is None else source
        if source == "synthetic":
            options = {"n_stars": self.n_stars, "seed": self.seed, **options}
        return default_survey(source, self.windows if self.quick else (), **options)

    def world(self, world: str = "shortcut", **options: Any) -> Survey:
        """Return the synthetic survey of a world, whatever the survey of the chapter."""
        return self.survey("synthetic", world=world, **options)

    def model(self, survey: Survey, **settings: Any) -> Lux:
        """Return the default model of a survey; `settings` are those of `lux.Lux`."""
        return default_model(survey, **{"tolerance": self.tolerance, **settings})

    def published_model(self, survey: Survey, start: str = "labels", **settings: Any) -> Lux:
        """Return the published fit of a survey: alternating least squares, with a prior too wide to matter.

        `settings` are those of `lux.Lux` and take the place of the published ones.
        """
        with warnings.catch_warnings():
            # Whether it converges is the chapters' to say.
            warnings.simplefilter("ignore", ConvergenceWarning)
            return self.model(survey, **{"start": start, "algorithm": "als", "omega": 1000.0, **settings})

    def fitted(self, survey: Survey, test_fraction: float = 0.5) -> "Fitted":
        """Split a survey and return it with the default model of its first part."""
        train, test = survey.split(test_fraction, seed=self.seed)
        return Fitted(train, test, self.model(train))

    def subject(self, survey: Survey) -> str:
        """Return the label that the chapter is about; a remark under the title says where the text is not about it."""
        label = audited_label(survey)
        self.record.remark(caveat(survey, self.source, label_name(label)), opening=True)
        return label


@dataclass(frozen=True)
class Fitted:
    """Training and test stars of a survey, and the default model of the former; latents come from flux alone."""

    train: Survey
    test: Survey
    model: Lux

    @property
    def label(self) -> str:
        """The label whose origin is in question."""
        return audited_label(self.test)

    @cached_property
    def latents(self) -> np.ndarray:
        """Latents (N, P) of the test stars."""
        return self.model.infer_latents(self.test)

    @cached_property
    def prediction(self) -> Prediction:
        """Predicted labels of the test stars."""
        return self.model.predict_labels(self.test)


def begin(
    name: str,
    dataset: str,
    profile: str,
    seed: int,
    n_stars: int,
    *,
    windows: Windows = (),
    tolerance: float = 0.005,
    needs: Sequence[str | tuple[float, float]] = (),
) -> Chapter:
    """Begin a chapter of the given name, from its notebook's parameters.

    In the quick profile, models are fitted to a tolerance of 0.02 where `tolerance` is finer. A reader's own survey
    that lacks some of what the page `needs` (see `lux.paper.subject.missing`) gives way to the synthetic one, and a
    remark under the title says so.
    """
    parameters = {"dataset": dataset, "profile": profile, "seed": seed, "n_stars": n_stars}
    tolerance = max(tolerance, _QUICK_TOLERANCE) if profile == "quick" else tolerance
    record = Record(name, parameters=parameters)
    own = bool(needs) and Path(dataset).suffix != ""
    lacking = missing(default_survey(dataset), needs) if own else []
    if lacking:
        text = f"The survey {Path(dataset).stem} has no {', and no '.join(lacking)}, which this page needs."
        record.remark(f"{text} It shows the synthetic survey in its place.", opening=True)
        dataset = "synthetic"
    return Chapter(record, dataset, profile, seed, n_stars, tuple(windows), tolerance)


def default_survey(source: str, windows: Windows = (), **options: Any) -> Survey:
    """Return a survey as `lux.load` does, its labels in the spelling of the pages ("FE_H" is "fe_h").

    Where windows are given that hold pixels, the others are gone.
    """
    if source == "synthetic":
        code = "from lux.simulation.synthetic import make_survey"
        survey = kept(Survey, code, options, lambda: load(source, **options), compress=False)
    else:
        survey = load(source, **options)
        survey = survey.replace(label_names=tuple(map(plain_name, survey.label_names)))
    inside = survey.pixels_within(windows)
    return survey.select_pixels(inside) if inside.any() else survey


def default_model(survey: Survey, **settings: Any) -> Lux:
    """Return a Lux model fitted to a survey, with the settings of `lux.Lux`."""
    parameters = {**settings, "survey": survey.digest()}
    return kept(Lux, "from lux.models.lux import Lux", parameters, lambda: Lux(**settings).fit(survey))
