"""What an audit reports: its evidence, its verdict, and how both are read by people and machines."""

import dataclasses
import json
import os
from collections.abc import Iterable
from typing import Any

import numpy as np
from astropy.table import Table

from lux.auditing.evidence import Evidence, Kind, ModelUse
from lux.auditing.limits import Limit
from lux.auditing.settings import AuditSettings
from lux.storage import atomic_write

VERDICTS = ("known", "proxy", "guessed", "leaked", "undecided")


@dataclasses.dataclass(frozen=True, eq=False)
class Report:
    """What an audit found about one label.

    Parameters
    ----------
    label : str
    verdict : {"known", "proxy", "guessed", "leaked", "undecided"}
    reason : str
        One sentence.
    evidence : tuple of Evidence
    n_stars, n_test : int
        Stars that have the label in all, and in the test survey.
    own_lines : tuple of float
        Vacuum wavelengths of the label's own lines, Angstrom.
    own_scatter : float
        Scatter of the label beyond the other labels that catalogue errors do not explain, in the label's unit.
    strongest : float
        Wavelength of the most significant line outside the own lines, Angstrom.
    stars_needed : int or None
        How many stars would decide, where the verdict is "undecided" for want of stars.
    model_use : ModelUse or None
        Whether the model uses the label; the verdict says whether the flux has it.
    limits : tuple of Limit
        The weakest traces of the label in the flux that would have been found, by kind of evidence; none if the label
        has no scatter of its own.
    wavelength, significance : (D,) arrays or None
        The survey's pixels, and how significantly absorption at each correlates with the label beyond the other labels,
        in standard deviations.
    settings : AuditSettings
        What the audit counted as significant, and how it measured.
    """

    label: str
    verdict: str
    reason: str
    evidence: tuple[Evidence, ...] = ()
    n_stars: int = 0
    n_test: int = 0
    own_lines: tuple[float, ...] = ()
    own_scatter: float = float("nan")
    strongest: float = float("nan")
    stars_needed: int | None = None
    model_use: ModelUse | None = None
    limits: tuple[Limit, ...] = ()
    wavelength: np.ndarray | None = dataclasses.field(default=None, repr=False)
    significance: np.ndarray | None = dataclasses.field(default=None, repr=False)
    settings: AuditSettings = AuditSettings()

    @property
    def table(self) -> Table:
        """The evidence as rows, the columns those of `Evidence` and whether it counts; `meta` holds the settings."""
        columns = [field.name for field in dataclasses.fields(Evidence)]
        values = {name: [getattr(item, name) for item in self.evidence] for name in columns}
        values["needed"] = [np.nan if item.needed is None else item.needed for item in self.evidence]
        values["significant"] = [item.significant for item in self.evidence]
        about = {"label": self.label, "verdict": self.verdict, "settings": dataclasses.asdict(self.settings)}
        return Table(values, meta=about)

    @property
    def answers(self) -> list[str]:
        """Sentences of the report about the flux, about what it could not have seen in it, and about the model."""
        said = [self.reason]
        if self.limits:
            said.append(
                f"would be found in {self.settings.power:.0%} of such surveys: " + "; ".join(map(str, self.limits))
            )
        if self.model_use is not None:
            said.append(f"does the model use it? {self.model_use}{self._remark()}")
        return said

    def _remark(self) -> str:
        """Return what explains an answer about the model that seems to contradict the verdict on the flux."""
        answer = None if self.model_use is None else self.model_use.answer
        if answer == "yes" and self.verdict in ("guessed", "undecided"):
            return "; the tests of the flux do not confirm it"
        if answer == "cannot tell" and self.verdict == "leaked":
            return "; what it follows may be the catalogue's error"
        return ""

    def __contains__(self, name: str) -> bool:
        return any(item.name == name for item in self.evidence)

    def __getitem__(self, name: str) -> Evidence:
        """Return the evidence of a kind, or of its name; KeyError if there is none."""
        for item in self.evidence:
            if item.name == name:
                return item
        given = ", ".join(item.name for item in self.evidence)
        raise KeyError(f"the audit of {self.label} has no evidence {str(name)!r}; it has {given or 'none at all'}")

    def __str__(self) -> str:
        lines = [f"{self.label}: {self.verdict}", *(f"  {answer}" for answer in self.answers)]
        if self.evidence:
            lines.append(f"  {'evidence':<22}{'statistic':>11}{'by chance':>19}{'p':>11}{'counts':>8}")
        for item in self.evidence:
            chance = f"{item.null_center:.2f} +- {item.null_scatter:.2f}"
            counts = "yes" if item.significant else "no"
            lines.append(f"  {item.name:<22}{item.statistic:>11.2f}{chance:>19}{item.p_value:>11.2g}{counts:>8}")
        return "\n".join([*lines, f"  settings: {self.settings}"])

    def to_json(self, path: str | os.PathLike | None = None) -> str:
        """Return the report, but for its arrays, as JSON, and write it to a file if a path is given."""
        content = dataclasses.asdict(dataclasses.replace(self, wavelength=None, significance=None))
        del content["wavelength"], content["significance"]
        text = json.dumps(_finite_or_none(content), indent=2, allow_nan=False)
        if path is not None:
            with atomic_write(path) as temporary:
                temporary.write_text(text)
        return text


def summary(reports: Iterable[Report]) -> Table:
    """Return a table of reports, a row each: verdict, z-score of each kind of evidence, use by the model, and more.

    What was not measured is NaN, and so is the z-score of the label canary, which has no null distribution.
    """
    rows = list(reports)
    values: dict[str, list] = {name: [getattr(row, name) for row in rows] for name in ("label", "verdict")}
    for kind in Kind:
        values[kind.value] = [row[kind].z_score if kind in row else np.nan for row in rows]
    uses = [row.model_use for row in rows]
    values["uses"] = ["" if use is None else use.answer for use in uses]
    values["slope"] = [np.nan if use is None else use.slope for use in uses]
    for name in ("own_scatter", "n_stars", "n_test", "reason"):
        values[name] = [getattr(row, name) for row in rows]
    return Table(values)


def _finite_or_none(value: Any) -> Any:
    """Return nested values with NaN and infinity as None, as JSON wants."""
    if isinstance(value, dict):
        return {key: _finite_or_none(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite_or_none(item) for item in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
