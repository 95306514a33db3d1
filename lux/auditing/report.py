"""What an audit reports: its evidence, its verdict, and how both are read by people and machines."""

import dataclasses
import json
import os

import numpy as np

from lux.auditing.evidence import Evidence
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
    wavelength, significance : (D,) arrays or None
        The survey's pixels, and how significantly absorption at each goes with the label beyond the other labels, in
        standard deviations.
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
    wavelength: np.ndarray | None = dataclasses.field(default=None, repr=False)
    significance: np.ndarray | None = dataclasses.field(default=None, repr=False)

    @property
    def table(self) -> list[dict]:
        """The evidence as rows with the columns of `Evidence`."""
        return [dataclasses.asdict(each) for each in self.evidence]

    def __getitem__(self, name: str) -> Evidence:
        """Return the evidence of a name; KeyError if it was not taken."""
        return next((each for each in self.evidence if each.name == name), None) or _no_evidence(name, self)

    def __str__(self) -> str:
        lines = [f"{self.label}: {self.verdict}", f"  {self.reason}"]
        if self.evidence:
            lines.append(f"  {'evidence':<22}{'statistic':>11}{'by chance':>19}{'p':>11}{'counts':>8}")
        for each in self.evidence:
            chance = f"{each.null_center:.2f} +- {each.null_spread:.2f}"
            counts = "yes" if each.significant else "no"
            lines.append(f"  {each.name:<22}{each.statistic:>11.2f}{chance:>19}{each.p_value:>11.2g}{counts:>8}")
        return "\n".join(lines)

    def to_json(self, path: str | os.PathLike | None = None) -> str:
        """Return the report, but for its arrays, as JSON, and write it to a file if a path is given."""
        content = dataclasses.asdict(dataclasses.replace(self, wavelength=None, significance=None))
        del content["wavelength"], content["significance"]
        text = json.dumps(_plain(content), indent=2, allow_nan=False)
        if path is not None:
            with atomic_write(path) as temporary:
                temporary.write_text(text)
        return text


def _no_evidence(name: str, report: Report):
    raise KeyError(f"no evidence {name!r} was taken; there are {', '.join(each.name for each in report.evidence)}")


def _plain(value):
    """Return nested values with NaN and infinity as None, as JSON wants."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
