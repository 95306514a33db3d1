"""What an audit reports: its evidence, its verdict, and how both are read by people and machines."""

import base64
import dataclasses
import html
import io
import json
import os
import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from astropy.table import Table

from lux.auditing.evidence import Evidence, Kind, ModelUse
from lux.auditing.limits import Limit
from lux.auditing.places import Place
from lux.auditing.settings import AuditSettings
from lux.statistics import Estimate
from lux.store.files import atomic_write
from lux.survey import plain_name

VERDICTS = ("known", "proxy", "guessed", "leaked", "artefact", "undecided")
_MAX_SHOWN = 6
# From this slope on, a model that the tests of the flux do not confirm may have been fitted to the test stars.
_MORE_THAN_CONFIRMED = 0.3
# Letters of a line that is printed; those of a page's column.
_WIDTH = 80
# Raised when a key of the JSON changes its meaning.
_SCHEMA = 1
_COLUMNS = ("evidence", "statistic", "by chance", "p", "counts")
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark }}
body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 50rem; margin: 2rem auto; padding: 0 1rem }}
img {{ max-width: 100%; background: white }}
table {{ border-collapse: collapse; display: block; overflow-x: auto }}
th, td {{ padding: .2rem .8rem; text-align: right; border-bottom: 1px solid #8888 }}
th:first-child, td:first-child {{ text-align: left }}
</style>
</head>
<body>
{body}
</body>
</html>
"""


@dataclasses.dataclass(frozen=True, eq=False)
class Report:
    """What an audit found about one label.

    Parameters
    ----------
    label : str
    verdict : {"known", "proxy", "guessed", "leaked", "artefact", "undecided"}
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
    observed_places : tuple of float
        Observed wavelengths, Angstrom, at which what correlates with the label stands still in the observer's frame;
        the stars' pixels there were masked for the evidence at rest.
    places : tuple of Place
        Where the evidence from the flux lies at rest, strongest first, and which species have lines there.
    flux_share : Estimate or None
        Share of the label's own variance that the flux explains in stars left out, with its interval of 95 %.
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
    observed_places: tuple[float, ...] = ()
    places: tuple[Place, ...] = ()
    flux_share: Estimate | None = None
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
        if self.flux_share is not None and self.verdict not in ("leaked", "artefact"):
            share = self.flux_share
            said.append(
                f"the flux explains {share.value:.0%} of its own variance in stars left out "
                f"({share.low:.0%} to {share.high:.0%})"
            )
        if self.places:
            said.append("where: " + "; ".join(map(str, self.places)))
        if self.observed_places:
            shown = ", ".join(f"{place:.1f}" for place in self.observed_places[:_MAX_SHOWN])
            more = len(self.observed_places) - _MAX_SHOWN
            said.append(f"masked, fixed in the observer's frame: {shown}{f' and {more} more' if more > 0 else ''} A")
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
            use = self.model_use
            fitted = use is not None and use.slope - 2 * use.error > _MORE_THAN_CONFIRMED
            return f"; the tests of the flux do not confirm it{': was the model fitted to these stars?' * fitted}"
        if answer == "yes" and self.verdict == "artefact":
            return "; what it follows is the artefact"
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
        lines = [f"{self.label}: {self.verdict}"]
        for answer in self.answers:
            lines += textwrap.wrap(answer, _WIDTH, initial_indent="  ", subsequent_indent="    ")
        if self.evidence:
            lines.append(f"  {'evidence':<22}{'statistic':>11}{'by chance':>19}{'p':>11}{'counts':>8}")
        for item in self.evidence:
            chance = f"{item.null_center:.2f} +- {item.null_scatter:.2f}"
            counts = "yes" if item.significant else "no"
            lines.append(f"  {item.name:<22}{item.statistic:>11.2f}{chance:>19}{item.p_value:>11.2g}{counts:>8}")
        settings = textwrap.wrap(f"settings: {self.settings}", _WIDTH, initial_indent="  ", subsequent_indent="    ")
        return "\n".join([*lines, *settings])

    def to_json(self, path: str | os.PathLike | None = None) -> str:
        """Return the report, but for its arrays, as JSON, and write it to a file if a path is given.

        The keys are the fields above, with "little" among those of `model_use`, and "schema", whose number rises when
        one of them changes its meaning. What is not a finite number is null.
        """
        content = dataclasses.asdict(dataclasses.replace(self, wavelength=None, significance=None))
        del content["wavelength"], content["significance"]
        if self.model_use is not None:
            content["model_use"]["little"] = self.model_use.little
        text = json.dumps({"schema": _SCHEMA, **_finite_or_none(content)}, indent=2, allow_nan=False)
        return _written(text, path)

    def to_markdown(self, path: str | os.PathLike | None = None) -> str:
        """Return the report as Markdown, and write it to a file if a path is given."""
        lines = [f"## {self.label}: {self.verdict}", "", *(f"- {answer}" for answer in self.answers)]
        if self.evidence:
            lines += ["", "| " + " | ".join(_COLUMNS) + " |", "|:---" + "|---:" * (len(_COLUMNS) - 1) + "|"]
        lines += ["| " + " | ".join(row) + " |" for row in self._rows()]
        return _written("\n".join([*lines, "", f"Settings: {self.settings}.", ""]), path)

    def to_html(self, path: str | os.PathLike | None = None, figure: Any = None) -> str:
        """Return the report as one page that needs no other file, and write it to a file if a path is given.

        Parameters
        ----------
        path : str or path, optional
        figure : matplotlib figure, optional
            Shown in the page, such as that of `lux.figures.audit.page`.
        """
        title = html.escape(f"{self.label}: {self.verdict}")
        body = [f"<h1>{title}</h1>", "<ul>", *(f"<li>{html.escape(answer)}</li>" for answer in self.answers), "</ul>"]
        if figure is not None:
            drawn = io.BytesIO()
            figure.savefig(drawn, format="png", dpi=150)
            source = base64.b64encode(drawn.getvalue()).decode()
            alt = f"Significance of absorption along the spectrum, and each evidence beside what chance gives: {title}"
            body.append(f'<img alt="{alt}" src="data:image/png;base64,{source}">')
        if self.evidence:
            head = "".join(f'<th scope="col">{name}</th>' for name in _COLUMNS)
            rows = ["".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in self._rows()]
            body += ["<table>", f"<tr>{head}</tr>", *(f"<tr>{row}</tr>" for row in rows), "</table>"]
        body.append(f"<p>Settings: {html.escape(str(self.settings))}.</p>")
        return _written(_PAGE.format(title=title, body="\n".join(body)), path)

    def compare(self, other: "Report") -> Table:
        """Return what another report says beside this one: "what", "this", "other", and whether the two "differ".

        Numbers differ if they do so by more than two of their errors, where these are known, and z-scores by more than
        two.

        Raises
        ------
        ValueError
            If the other is no report, or on another label.
        """
        if not isinstance(other, Report):
            raise ValueError(f"compare with another report; got {type(other).__name__}")
        if plain_name(self.label) != plain_name(other.label):
            raise ValueError(f"the reports are on {self.label} and {other.label}; compare reports on one label")
        pairs: list[tuple[Any, ...]] = [("verdict", self.verdict, other.verdict, self.verdict != other.verdict)]
        uses = [report.model_use for report in (self, other)]
        if uses[0] is not None and uses[1] is not None:
            pairs.append(("model uses it", uses[0].shown, uses[1].shown, uses[0].answer != uses[1].answer))
            far = abs(uses[0].slope - uses[1].slope) > 2 * np.hypot(uses[0].error, uses[1].error)
            shown = (f"{use.slope:.2f} +- {use.error:.2f}" for use in uses if use is not None)
            pairs.append(("slope of prediction", *shown, bool(far)))
        for item in self.evidence:
            if item.name in other and item.null_scatter > 0:
                scores = item.z_score, other[item.name].z_score
                pairs.append((f"{item.name} (sigma)", *(f"{z:.1f}" for z in scores), abs(scores[0] - scores[1]) > 2))
        for name in ("n_stars", "n_test", "own_lines", "settings"):
            values = getattr(self, name), getattr(other, name)
            pairs.append((name, *(str(value) for value in values), values[0] != values[1]))
        return Table(rows=pairs, names=("what", "this", "other", "differ"))

    def _rows(self) -> list[tuple[str, ...]]:
        """Return the evidence as cells of a table, by `_COLUMNS`."""
        return [
            (
                str(item.name),
                f"{item.statistic:.2f}",
                f"{item.null_center:.2f} ± {item.null_scatter:.2f}",
                f"{item.p_value:.2g}",
                "yes" if item.significant else "no",
            )
            for item in self.evidence
        ]


def summary(reports: Iterable[Report] | Mapping[str, Report] | Report) -> Table:
    """Return a table of reports, a row each: verdict, z-score of each kind of evidence, use by the model, and more.

    Of a mapping, such as `audit_all` returns, its values are taken.

    What was not measured is NaN, and so is the z-score of the label canary, which has no null distribution.
    """
    reports = reports.values() if isinstance(reports, Mapping) else reports
    rows = [reports] if isinstance(reports, Report) else list(reports)
    values: dict[str, list] = {name: [getattr(row, name) for row in rows] for name in ("label", "verdict")}
    for kind in Kind:
        values[kind.value] = [row[kind].z_score if kind in row else np.nan for row in rows]
    uses = [row.model_use for row in rows]
    values["uses"] = ["" if use is None else use.shown for use in uses]
    values["slope"] = [np.nan if use is None else use.slope for use in uses]
    for name in ("own_scatter", "n_stars", "n_test", "reason"):
        values[name] = [getattr(row, name) for row in rows]
    return Table(values)


def _written(text: str, path: str | os.PathLike | None) -> str:
    """Write a text to a file, whole or not at all, if a path is given; return it."""
    if path is not None:
        with atomic_write(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return text


def _finite_or_none(value: Any) -> Any:
    """Return nested values with NaN and infinity as None, as JSON wants."""
    if isinstance(value, dict):
        return {key: _finite_or_none(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite_or_none(item) for item in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
