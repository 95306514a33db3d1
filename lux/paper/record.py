"""The record of a chapter: every number, table and figure of its page, computed once and written for machines too."""

import csv
import hashlib
import json
import math
import os
import platform
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lux.paper.formats import decimal_places, format_quantity, markdown_table, power_of_ten
from lux.statistics import Estimate
from lux.store.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lux.survey import Survey

_PACKAGES = ("numpy", "scipy", "jax", "astropy", "scikit-learn", "shap", "matplotlib")
_MINIMUM_ALT_TEXT = 40


class Record:
    """Collects the results of one chapter; `provenance` ends it and writes them.

    Parameters
    ----------
    chapter : str
        Name of the chapter's file without its suffix, e.g. "03_label_transfer".
    parameters : dict
        The notebook's parameters, JSON-able; they head the results and the provenance block.
    folder : path, optional
        Where products go. The build sets ``$LUX_PRODUCTS``; a notebook run by hand writes to ``_build/interactive``.
    """

    def __init__(
        self, chapter: str, *, parameters: Mapping[str, Any] | None = None, folder: str | os.PathLike | None = None
    ):
        self.chapter = chapter
        self.parameters = dict(parameters or {})
        self.folder = Path(folder) if folder is not None else products_folder(chapter)
        self._results: dict[str, dict] = {}
        self._tables: dict[str, dict] = {}
        self._figures: dict[str, dict] = {}
        self._measurements: dict[str, dict] = {}

    def __call__(
        self,
        key: str,
        value: Any,
        *,
        unit: str = "",
        uncertainty: float | None = None,
        interval: tuple[float, float] | None = None,
        sampling_error: float | None = None,
        bound: float | None = None,
        digits: int = 3,
        text: str | None = None,
        varies: bool = False,
    ) -> str:
        """Record a value, glue its text for ``{glue:text}`` and return that text.

        What a number means decides how closely another machine must reproduce it (`tools/check_results.py`). A text, a
        truth value or a count is a *claim*: identical. A number with an uncertainty, an interval or a sampling error is
        *measured*: it may move by a small fraction of that. One with a `bound` exists as rounding noise only: the bound
        is recorded. Any other is *exact*: the printed digits.

        Parameters
        ----------
        key : str
            Name of the result, unique in the chapter; letters, digits and underscores.
        value : number, bool or str
            In `unit`. Infinite values are kept; NaN is refused.
        uncertainty : float, optional
            Standard error in `unit`: value and uncertainty are rounded to it.
        interval : (float, float), optional
            Interval in `unit`, shown in brackets; say its level in the prose.
        sampling_error : float, optional
            Standard error in `unit` that is recorded and not shown, where neither of the above is: that of a
            Monte-Carlo estimate, for example.
        bound : float, optional
            A power of ten above the size of the value, recorded and shown in its place; raised for a larger value.
        digits : int
            Significant digits where no uncertainty or interval sets them.
        text : str, optional
            Replaces the formatted text.
        varies : bool
            True for run times and memory, which no two runs share: kept out of the results that are compared.

        Raises
        ------
        ValueError
            If the key is taken or malformed, or the value is NaN.
        """
        self._claim(key)
        value = _plain(value, key)
        if bound is not None:
            while not abs(value) < bound < math.inf:
                bound *= 10
            value, text = bound, text or f"less than {power_of_ten(bound)} {unit}".strip()
        entry = {"value": value, "unit": unit, "kind": "rounding" if bound is not None else "claim"}
        if uncertainty is not None:
            entry["uncertainty"] = _plain(uncertainty, key)
        if interval is not None:
            entry["interval"] = [_plain(end, key) for end in interval]
        if sampling_error is not None:
            entry["sampling_error"] = _plain(sampling_error, key)
        if {"uncertainty", "interval", "sampling_error"} & entry.keys():
            entry["kind"] = "measured"
        elif isinstance(value, float) and bound is None and math.isfinite(value):
            entry |= {"kind": "exact", "last_digit": 10.0 ** -max(decimal_places(value, digits), 0)}
        entry["text"] = text or format_quantity(value, unit, entry.get("uncertainty"), entry.get("interval"), digits)
        (self._measurements if varies else self._results)[key] = entry
        _glue(key, entry["text"])
        return entry["text"]

    def numbers(self, *, unit: str = "", digits: int = 3, **values: Any) -> None:
        """Record several values, each under its name, in one unit and to one number of significant digits."""
        for key, value in values.items():
            self(key, value, unit=unit, digits=digits)

    def estimate(self, key: str, estimate: Estimate, *, unit: str = "", in_brackets: bool = False) -> str:
        """Record an estimate with half its interval as its uncertainty, or with the interval in brackets."""
        if in_brackets:
            return self(key, estimate.value, unit=unit, interval=estimate.interval)
        return self(key, estimate.value, unit=unit, uncertainty=estimate.uncertainty)

    def mean(self, key: str, values: np.ndarray, *, unit: str = "") -> str:
        """Record the mean of two or more values (n,) with its standard error, from their sample standard deviation."""
        return self(key, np.mean(values), unit=unit, uncertainty=np.std(values, ddof=1) / np.sqrt(len(values)))

    def table(self, name: str, columns: Mapping[str, Any], *, formats: Mapping[str, str] | None = None) -> None:
        """Record a table for ``{recorded-table}`` and show it.

        Parameters
        ----------
        name : str
            Name of the table, unique in the chapter.
        columns : dict
            Heading -> sequence; all of one length. Headings and text cells may hold inline MyST. A cell may be a
            `lux.statistics.Estimate`, which counts as measured: it shows the error of its last digit in brackets, or
            the value alone where its column has a format.
        formats : dict, optional
            Heading -> format specification such as ".3f"; three significant digits otherwise.

        Raises
        ------
        ValueError
            If the name is taken or malformed, or the columns differ in length.
        """
        self._claim(name)
        columns = {heading: [_plain_cell(cell, name) for cell in cells] for heading, cells in columns.items()}
        lengths = {heading: len(cells) for heading, cells in columns.items()}
        if len(set(lengths.values())) != 1:
            raise ValueError(f"table {name!r}: columns must have one length, got {lengths}")
        markdown = markdown_table(columns, formats or {})
        self._tables[name] = {"columns": columns, "formats": formats or {}, "markdown": markdown}
        _display({"text/markdown": markdown, "text/plain": markdown}, f"table:{name}")

    def figure(self, fig: "Figure", name: str, *, alt: str) -> None:
        """Save a figure as png, svg and a table of what it draws (csv) for ``{recorded-figure}``, show and close it.

        Parameters
        ----------
        fig : matplotlib.figure.Figure
        name : str
            Name of the figure, unique in the chapter.
        alt : str
            What a reader who cannot see the figure must know, at least a sentence; it may hold computed numbers.

        Raises
        ------
        ValueError
            If the name is taken or malformed, or `alt` is no sentence.
        """
        import matplotlib.pyplot as plt

        from lux.figures import paper_style
        from lux.figures.values import COLUMNS, values_of

        self._claim(name)
        alt = " ".join(alt.split())
        if len(alt) < _MINIMUM_ALT_TEXT or not alt.endswith((".", "?")):
            raise ValueError(f"figure {name!r}: alt text must be at least one whole sentence, got {alt!r}")
        folder = self.folder / "figures"
        folder.mkdir(parents=True, exist_ok=True)
        with paper_style(), plt.rc_context({"svg.hashsalt": name}):
            with atomic_write(folder / f"{name}.svg") as path:
                fig.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
            with atomic_write(folder / f"{name}.png") as path:
                fig.savefig(path, format="png", metadata={"Software": None})
        _write_rows(folder / f"{name}.csv", COLUMNS, values_of(fig))
        self._figures[name] = {"alt": alt}
        _write_json(folder / f"{name}.json", self._figures[name])
        _display({"image/png": (folder / f"{name}.png").read_bytes(), "text/plain": alt}, f"figure:{name}")
        plt.close(fig)

    def data(self, name: str, content: Mapping[str, Any]) -> None:
        """Save what an interactive figure shows, JSON-able and of finite numbers, for the directive that places it."""
        (self.folder / "data").mkdir(parents=True, exist_ok=True)
        with atomic_write(self.folder / "data" / f"{name}.json") as path:
            path.write_text(
                json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":")), encoding="utf-8"
            )

    def remark(self, text: str, *, opening: bool = False) -> None:
        """Show a note to the reader where there is something to say; an `opening` one moves to under the title."""
        if text and _in_notebook():
            from html import escape

            from IPython.display import display

            note = f'<div class="admonition note"><p class="admonition-title">Note</p><p>{escape(text)}</p></div>'
            display({"text/html": note, "text/plain": text}, raw=True, metadata={"opening": opening})

    def provenance(self, *surveys: "Survey") -> None:
        """Write the results of the chapter and show what they came from: the last call of every chapter.

        Parameters
        ----------
        surveys : lux.Survey
            The surveys used, whose `provenance` is shown.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        results = {
            "chapter": self.chapter,
            "parameters": self.parameters,
            "results": self._results,
            "tables": {name: table["columns"] for name, table in self._tables.items()},
            "formats": {name: table["formats"] for name, table in self._tables.items()},
            "figures": self._figures,
        }
        _write_json(self.folder / "tables.json", {name: table["markdown"] for name, table in self._tables.items()})
        _write_json(self.folder / "measurements.json", self._measurements)
        digest = _write_json(self.folder / "results.json", results)
        rows = {
            "chapter": self.chapter,
            **{name: repr(value) for name, value in self.parameters.items()},
            **{f"survey {number}": _one_line(survey.provenance) for number, survey in enumerate(surveys, 1)},
            "versions": f"Python {platform.python_version()}, " + ", ".join(_versions()),
            "results": f"{len(self._results)} numbers, sha256 {digest[:16]}",
        }
        _display_block("Provenance of this chapter", rows)

    def _claim(self, key: str) -> None:
        if not key.isidentifier():
            raise ValueError(f"{self.chapter}: {key!r} must be made of letters, digits and underscores")
        if any(key in taken for taken in (self._results, self._tables, self._figures, self._measurements)):
            raise ValueError(f"{self.chapter}: {key!r} is recorded twice; each key names one result")


def products_folder(chapter: str) -> Path:
    """Folder of a chapter's products: ``$LUX_PRODUCTS``, else ``_build/interactive/<chapter>`` at the book's root."""
    given = os.environ.get("LUX_PRODUCTS")
    if given:
        return Path(given)
    here = Path.cwd()
    root = next((folder for folder in (here, *here.parents) if (folder / "_toc.yml").exists()), here)
    return root / "_build" / "interactive" / chapter


def _plain(value: Any, key: str, missing: bool = False) -> Any:
    if hasattr(value, "item") and np.ndim(value) == 0:
        value = value.item()
    if value is None and missing:
        return None
    if not isinstance(value, (bool, int, float, str)):
        raise ValueError(f"{key!r}: expected a number, a truth value or a text, got {type(value).__name__}")
    if isinstance(value, float) and math.isnan(value):
        if missing:
            return None
        raise ValueError(f"{key!r} is not a number (NaN): a result must have a value; say in words why there is none")
    return value


def _plain_cell(cell: Any, name: str) -> Any:
    if not hasattr(cell, "low"):
        return _plain(cell, name, missing=True)
    return {"value": _plain(cell.value, name), "interval": [_plain(end, name) for end in (cell.low, cell.high)]}


def _write_rows(path: Path, columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    with atomic_write(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([tuple(columns), *rows])


def _write_json(path: Path, content: Any) -> str:
    text = json.dumps(_without_infinities(content), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return hashlib.sha256(text.encode()).hexdigest()


def _without_infinities(content: Any) -> Any:
    # JSON has no infinity; a Cramer-Rao bound without a line needs one.
    if isinstance(content, dict):
        return {key: _without_infinities(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [_without_infinities(value) for value in content]
    if isinstance(content, float) and math.isinf(content):
        return "inf" if content > 0 else "-inf"
    return content


def _versions() -> Iterator[str]:
    for name in _PACKAGES:
        try:
            yield f"{name} {metadata.version(name)}"
        except metadata.PackageNotFoundError:
            continue


def _one_line(provenance: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}: {value}" for name, value in provenance.items())


def _in_notebook() -> bool:
    try:
        from IPython import get_ipython
    except ImportError:
        return False
    return get_ipython() is not None and hasattr(get_ipython(), "kernel")


def _glue(key: str, text: str) -> None:
    if _in_notebook():
        try:
            from myst_nb import glue
        except ModuleNotFoundError:
            print(f"{key}: {text}")
        else:
            glue(key, text, display=False)


def _display(bundle: dict[str, Any], name: str) -> None:
    if _in_notebook():
        from IPython.display import display

        # The prefix makes MyST-NB keep this output off the page, where a directive places it; Jupyter still shows it.
        display(bundle, raw=True, metadata={"scrapbook": {"name": name, "mime_prefix": "placed by a directive"}})


def _display_block(title: str, rows: Mapping[str, Any]) -> None:
    if _in_notebook():
        from html import escape

        from IPython.display import HTML, display

        body = "".join(f"<dt>{escape(name)}</dt><dd>{escape(str(value))}</dd>" for name, value in rows.items())
        display(HTML(f'<details class="provenance"><summary>{title}</summary><dl>{body}</dl></details>'))
