"""The command line: ``python -m lux audit SURVEY.h5 --label eu_fe``, ``python -m lux fetch apogee-galah``.

The module is long because every option explains itself and every pair that contradicts is refused by name.
"""

import argparse
import codecs
import gzip
import importlib
import io
import json
import logging
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from astropy.table import Table

    from lux.auditing.report import Report
    from lux.controls.bench import BenchRow
    from lux.survey import Survey

# Columns of a table that a message shows.
_MAX_NAMED = 8
# Tables of text with values between commas or tabs.
_OF_TEXT = re.compile(r"\.(csv|tsv)(\.gz)?$")
# Of the model that `lux audit` fits, and the share of stars that it holds out.
_LATENTS, _TEST_FRACTION = 21, 0.3
_EXAMPLES = """examples:
  lux audit survey.h5 --label eu_fe
  lux audit survey.h5 --label "[Eu/Fe]" --own-lines 15448.4 15551.6 --html pages
  lux audit survey.h5 --label eu_fe --line-list eu.vald
  lux audit survey.h5 --label eu_fe --labels galah.fits --id star_id --predictions predicted.csv

The status is 0 when the audit was made, whatever its verdict, and 2 when the input is wrong."""


def main(arguments: list[str] | None = None) -> int:
    """Run a command; return 0, or 2 with a message on standard error if the input is wrong or data cannot be had."""
    _print_anywhere()
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except (ValueError, OSError) as error:
        print(f"lux: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as error:
        print(f"lux: {error or 'interrupted'}", file=sys.stderr)
        return 130
    return 0


def _print_anywhere() -> None:
    """Let a terminal of another encoding show what it lacks as "?", and a minus sign, which numbers need, as "-"."""

    def replaced(error: UnicodeError) -> tuple[str, int]:
        if not isinstance(error, UnicodeEncodeError):
            raise error
        lost = error.object[error.start : error.end]
        return "".join("-" if character == "\N{MINUS SIGN}" else "?" for character in lost), error.end

    codecs.register_error("lux-terminal", replaced)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="lux-terminal")


def _audit(options: argparse.Namespace) -> None:
    from lux.auditing.audit import audit, audit_all
    from lux.auditing.label_lines import named_lines
    from lux.auditing.star_groups import star_of_spectrum
    from lux.datasets.load import load
    from lux.models.lux import Lux
    from lux.spectroscopy.lines import LineList

    if options.predictions is not None and options.model is not None:
        raise ValueError("give either --model or --predictions")
    if options.latents is not None and (options.predictions, options.model) != (None, None):
        raise ValueError("--latents is of a model that is fitted, and none is beside --predictions or --model")
    if options.id is not None and (options.labels, options.predictions) == (None, None):
        raise ValueError("--id is a column of the table of --labels or --predictions; give one of these")
    options.id = "star_id" if options.id is None else options.id
    if (options.own_lines, options.line_list) != (None, None) and options.label is None:
        raise ValueError("--own-lines or a --line-list are those of one label: name it with --label")
    if None not in (options.own_lines, options.line_list):
        raise ValueError("give either --own-lines or --line-list")
    survey = load(options.survey)
    if options.labels is not None:
        labelled = survey.with_labels(_read_table(options.labels, options.id), star_id=options.id)
        _say(f"the labels of {options.labels} are {', '.join(labelled.label_names)}")
        if lacking := len(survey) - len(labelled):
            _say(f"{lacking} of {len(survey)} stars are not in {options.labels}, and are left out")
        survey = labelled
    survey = survey.drop_masked_pixels()
    if options.label is not None:
        # Before a model is fitted, which takes minutes.
        survey.label_index(options.label)
    own_lines = options.own_lines
    if options.line_list is not None:
        own_lines = named_lines(LineList.read(options.line_list), survey, options.label)
    if options.groups is not None:
        star_of_spectrum(survey, options.groups)
    train, test, model = _divided(survey, options)
    if model is None:
        latents = _LATENTS if options.latents is None else options.latents
        _say(f"fitting a model of {latents} latents to {len(train)} stars")
        model = Lux(latents).fit(train)
    if options.label is None:
        reports = list(audit_all(model, train, test, seed=options.seed, groups=options.groups).values())
    else:
        settings = {"seed": options.seed, "groups": options.groups}
        reports = [audit(model, train, test, options.label, own_lines, **settings)]
    if options.json:
        print("[" + ",\n".join(report.to_json() for report in reports) + "]")
    elif options.markdown:
        print("\n".join(report.to_markdown() for report in reports))
    else:
        print("\n\n".join(str(report) for report in reports), flush=True)
    # A report that took minutes must not be lost to a drawing that fails.
    for folder, write in ((options.figures, _draw), (options.html, _write_pages)):
        if folder is not None:
            write(reports, Path(folder))


def _divided(survey: "Survey", options: argparse.Namespace) -> tuple["Survey", "Survey", Any]:
    """Return training stars, test stars and the model, which is None where it is to be fitted.

    Where predictions are given, the test stars are those that were predicted, if others are left to be the training
    stars.
    """
    import numpy as np

    from lux.models.lux import Lux
    from lux.store.columns import numbers
    from lux.store.label_names import plain_name

    if options.predictions is None:
        train, test = _split(survey, options)
        return train, test, None if options.model is None else Lux.load(options.model)
    table = _read_table(options.predictions, options.id)
    if options.id != "star_id" and "star_id" in table.colnames:
        # It is not by this one that stars are to be found.
        table.remove_column("star_id")
    table.rename_column(options.id, "star_id")
    labels = {plain_name(name) for name in survey.label_names}
    for name in table.colnames:
        if plain_name(name) in labels and table[name].dtype.kind not in "biuf":
            # What stands for no number is missing, and other text refused by its column.
            values = numbers(f"column {name!r} of {options.predictions}", table[name])
            table[name] = np.ma.filled(values, np.nan)
    named = np.char.strip(np.asarray(table["star_id"]).astype(str))
    predicted = np.isin(survey.star_id, named)
    if unknown := np.count_nonzero(~np.isin(named, survey.star_id)):
        _say(f"{unknown} of {len(named)} predictions are of no star of the survey, and are left out")
    if predicted.any() and not predicted.all():
        if options.test_fraction is not None:
            raise ValueError(
                f"--test-fraction divides nothing here: the {np.count_nonzero(predicted)} stars with a prediction are "
                "the test stars, and the others those of training"
            )
        n_tested = np.count_nonzero(predicted)
        _say(f"{n_tested} stars have a prediction and are tested; the other {len(survey) - n_tested} are for training")
        return survey[~predicted], survey[predicted], table
    return *_split(survey, options), table


def _split(survey: "Survey", options: argparse.Namespace) -> tuple["Survey", "Survey"]:
    share = _TEST_FRACTION if options.test_fraction is None else options.test_fraction
    return survey.split(share, options.seed, groups=options.groups)


def _say(what: str) -> None:
    """Say on standard error what is done, for standard output holds the report."""
    print(f"lux: {what}", file=sys.stderr, flush=True)


def _read_table(path: str, star_id: str) -> "Table":
    """Return a table of CSV, FITS, VOTable or another format that astropy tells by name or content."""
    from astropy.table import Table

    if not Path(path).is_file():
        raise FileNotFoundError(f"no table at {path}")
    try:
        text = _OF_TEXT.search(path.casefold())
        how = _of_text(path, star_id, by_tabs=text[1] == "tsv") if text else {}
        table = Table.read(path, **how)
        table.convert_bytestring_to_unicode()
    except Exception as error:
        # Readers of the many formats raise exceptions of as many types.
        raise ValueError(f"{path} cannot be read as a table: {error}") from error
    if star_id not in table.colnames:
        has = ", ".join(table.colnames[:_MAX_NAMED]) + ", ..." * (len(table.colnames) > _MAX_NAMED)
        raise ValueError(f"{path} has no column {star_id!r}, by which stars are found, but {has}; see --id")
    for name in table.colnames if how.get("delimiter") else ():
        if name != star_id and (numbers := [text for text in table[name].tolist() if _has_decimal_comma(text)]):
            raise ValueError(
                f"{path} has {numbers[0]!r} in its column {name!r}: write numbers with a decimal point, not a comma"
            )
    return table


def _of_text(path: str, star_id: str, *, by_tabs: bool) -> dict[str, Any]:
    """Return how a table of text is read, which a spreadsheet may have written: with a byte-order mark, or semicolons.

    Values are separated by commas, if not by tabs; the file may be compressed by gzip.
    """
    # As numbers, ids would lose zeros at their beginning.
    how: dict[str, Any] = {"format": "ascii.csv", "converters": {star_id: str}}
    with gzip.open(path) if path.casefold().endswith(".gz") else open(path, "rb") as file:
        content = file.read()
    header, _, _ = content.partition(b"\n")
    if content[-1:] not in b"\r\n":
        _say(f"the last line of {path} does not end, as where a file was cut: is it whole?")
    if header.startswith(codecs.BOM_UTF8):
        how["encoding"] = "utf-8-sig"
    if by_tabs:
        how["delimiter"] = "\t"
    elif b";" in header and b"," not in header:
        how["delimiter"] = ";"
    return how


def _has_decimal_comma(cell: Any) -> bool:
    return isinstance(cell, str) and re.fullmatch(r"[+-]?\d+,\d+(e[+-]?\d+)?", cell.strip().casefold()) is not None


def _write_pages(reports: "list[Report]", folder: Path) -> None:
    """Write a page of HTML for each report, with its figure where it holds evidence."""
    from matplotlib import pyplot

    from lux.figures import paper_style
    from lux.figures.audit import page

    folder.mkdir(parents=True, exist_ok=True)
    for report in reports:
        drawn = page(report) if report.evidence else None
        with paper_style():
            report.to_html(folder / f"audit-{_file_name(report.label)}.html", drawn)
        pyplot.close(drawn)


def _file_name(label: str) -> str:
    return re.sub(r"[^\w.+-]+", "_", label)


def _draw(reports: "list[Report]", folder: Path) -> None:
    """Write a page for each report that holds evidence."""
    from matplotlib import pyplot

    from lux.figures import paper_style
    from lux.figures.audit import page
    from lux.store.files import atomic_write

    folder.mkdir(parents=True, exist_ok=True)
    for report in reports:
        if report.evidence:
            drawn = page(report)
            with paper_style(), atomic_write(folder / f"audit-{_file_name(report.label)}.png") as temporary:
                drawn.savefig(temporary, format="png")
            pyplot.close(drawn)


def _fetch(options: argparse.Namespace) -> None:
    from lux.datasets.apogee_galah import describe, make_survey_file, plan_fetch
    from lux.datasets.fetch import TransferOptions
    from lux.datasets.request import Request

    request = Request(
        n_stars=options.stars,
        labels=tuple(options.labels),
        selection=options.selection,
        complete=not options.incomplete,
        max_disagreement=options.max_disagreement,
        cache=options.cache,
    )
    if options.dry_run:
        print(plan_fetch(request))
        return
    path = make_survey_file(request, transfer=TransferOptions(connections=options.connections))
    print(describe(path))


def _trial(options: argparse.Namespace) -> None:
    from lux.controls.on_trial import trial
    from lux.store.files import atomic_write

    for path in (options.json, options.figure):
        # Before worlds are measured, which takes minutes.
        if path is not None:
            _refuse_no_file(path)
    if options.figure is not None:
        _figure_format(options.figure)
    subject, model = _imported(options.subject), options.model
    if ":" in model:
        model = _imported(model)
    limits = {"n_seeds": options.seeds, "time_limit": options.time_limit, "workers": options.workers}
    limits["folder"] = None if options.folder is None else _folder(options.folder)
    _tell_of_kept_worlds()
    try:
        result = trial(subject, name=options.name or options.subject.partition(":")[2], model=model, **limits)
    except (TypeError, RuntimeError) as error:
        raise ValueError(str(error)) from error
    print(result, flush=True)
    if options.json is not None:
        with atomic_write(options.json) as temporary:
            temporary.write_text(result.to_json() + "\n", encoding="utf-8")
    if options.figure is not None:
        _draw_bench(result.rows, options.figure)


def _refuse_no_file(path: str) -> None:
    """Raise OSError if no file can have this name."""
    if not path or Path(path).is_dir():
        raise IsADirectoryError(f"cannot write {path!r}: it is a folder; give the name of a file")
    if not Path(path).parent.is_dir():
        raise FileNotFoundError(f"cannot write {path}: the folder {Path(path).parent} does not exist; create it first")


def _folder(path: str) -> Path:
    """Return the path of a folder, which may not be there yet; NotADirectoryError if it is that of a file."""
    if Path(path).exists() and not Path(path).is_dir():
        raise NotADirectoryError(f"cannot write into {path}: it is a file; give the name of a folder")
    return Path(path)


def _figure_format(path: str) -> str:
    """Return the format of a figure by the name of its file; ValueError if there is none of that name."""
    from matplotlib.backend_bases import FigureCanvasBase

    known, wanted = FigureCanvasBase.get_supported_filetypes(), Path(path).suffix.lstrip(".").lower() or "png"
    if wanted not in known:
        raise ValueError(f"no figure can be drawn as {path!r}: its name must end in one of .{', .'.join(known)}")
    return wanted


def _tell_of_kept_worlds() -> None:
    """Let the package say on standard error how much it reads of what it measured before."""
    log, handler = logging.getLogger("lux.controls.runner"), logging.StreamHandler()
    handler.setFormatter(logging.Formatter("lux: %(message)s"))
    log.handlers = [handler]
    log.setLevel(logging.INFO)


def _imported(place: str) -> Any:
    """Return what "package.module:name" names; ValueError if there is no such thing."""
    module, _, name = place.partition(":")
    if not module or not name:
        raise ValueError(f"{place!r} names nothing to import: expected package.module:name, such as mine:technique")
    if module.endswith(".py"):
        stem = Path(module).stem
        raise ValueError(f"{module!r} is a file: name its module, {stem}:{name}, from the folder in which it lies")
    sys.path.insert(0, os.getcwd())
    try:
        found = importlib.import_module(module)
    except (Exception, SystemExit) as error:
        # Whatever the user's module raises; a script may leave Python at its end.
        why = f"{type(error).__name__}: {error}".removesuffix(": ")
        if isinstance(error, SystemExit):
            why += ", it leaves Python: put what it does as a script under if __name__ == '__main__'"
        raise ValueError(f"module {module!r} cannot be imported from {os.getcwd()}: {why}") from error
    if not hasattr(found, name):
        public = ", ".join(each for each in vars(found) if not each.startswith("_"))
        of_file = getattr(found, "__file__", None) or "no file"
        raise ValueError(f"module {module!r}, of {of_file}, has no {name!r}; it has {public}")
    return getattr(found, name)


def _draw_bench(rows: "Sequence[BenchRow]", path: str) -> None:
    from matplotlib import pyplot

    from lux.controls import bench
    from lux.figures import paper_style
    from lux.figures.controls import power_curves
    from lux.store.files import atomic_write

    drawn = power_curves(bench.LINE_DEPTHS, {row.name: row.powers for row in rows}, rows[0].optimal_significance)
    with paper_style(), atomic_write(path) as temporary:
        drawn.savefig(temporary, format=_figure_format(path))
    pyplot.close(drawn)


def _worlds(options: argparse.Namespace) -> None:
    from lux.controls.bench_files import write_worlds

    print(write_worlds(options.out, options.seeds))


def _score(options: argparse.Namespace) -> None:
    from lux.controls import bench
    from lux.controls.bench_files import score_answers

    row = score_answers(options.folder, options.answers)
    if options.json:
        print(json.dumps(row.to_dict(), indent=1))
    else:
        print(bench.table((row, *bench.published_rows())))


class _Once(argparse.Action):
    """An option that is given once: of two values the last would be taken, and the first dropped without a word."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, *_: Any) -> None:
        """Keep the value, the first alone."""
        if getattr(namespace, self.dest) is not None:
            parser.error(f"{self.option_strings[0]} is given twice; audit one label, or all of them by leaving it out")
        setattr(namespace, self.dest, values)


def _wavelength(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no wavelength in Angstrom; what is no option, such as the survey, stands before them"
        ) from None


def _seed(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from zero on")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m lux", description="Known or guessed?")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    audit_parser = commands.add_parser(
        "audit",
        help="tell whether a label is known from the flux or guessed",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=_EXAMPLES,
    )
    audit_parser.set_defaults(run=_audit)
    add = audit_parser.add_argument
    add("survey", help="saved survey (HDF5 file or .zarr folder), or the name of a data set such as apogee-dr10")
    add("--label", action=_Once, help="label to audit; all of them by default")
    wavelengths = "vacuum wavelengths of the label's own lines; none given: it has none"
    add("--own-lines", type=_wavelength, nargs="*", metavar="ANGSTROM", help=wavelengths)
    listed = "take the label's own lines from this list: of VALD, Kurucz or MOOG, or a table with wavelengths in vacuum"
    add("--line-list", metavar="FILE", help=listed)
    add("--labels", metavar="TABLE", help="take labels and errors from this CSV, FITS or VOTable file, joined by --id")
    add("--id", metavar="COLUMN", help="column of TABLE that names the stars (star_id)")
    stars = "column of the catalogue that says which star a spectrum is of, where stars have several"
    add("--groups", metavar="COLUMN", help=stars)
    add("--model", help="fitted Lux model (.npz); one is fitted by default")
    add("--predictions", metavar="TABLE", help="audit these predictions, joined by --id, of stars not used in training")
    add("--latents", type=int, help=f"latents of the model that is fitted ({_LATENTS})")
    add("--test-fraction", type=float, help=f"share of stars held out ({_TEST_FRACTION})")
    add("--seed", type=_seed, default=0)
    add("--figures", metavar="FOLDER", help="also draw a page for each label, audit-LABEL.png")
    add("--html", metavar="FOLDER", help="also write a page for each label, audit-LABEL.html, that needs no other file")
    add = audit_parser.add_mutually_exclusive_group().add_argument
    add("--json", action="store_true", help="print JSON instead of a table")
    add("--markdown", action="store_true", help="print Markdown instead of a table")
    _add_bench(commands)
    fetch_parser = commands.add_parser("fetch", help="fetch the spectra and labels of the published study")
    fetch_parser.set_defaults(run=_fetch)
    add = fetch_parser.add_argument
    add("dataset", choices=["apogee-galah"])
    add("--stars", type=int, default=5000, help="most stars (5000)")
    labels = ["teff", "logg", "fe_h", "alpha_fe", "eu_fe"]
    add("--labels", nargs="+", default=labels, metavar="LABEL", help="labels of GALAH, such as eu_fe or ba_fe")
    careful = "careful: quality flags of both surveys, each star once, no cluster members"
    both = f"{careful}; published: only the cuts of the published code"
    add("--selection", choices=["careful", "published"], default="careful", help=both)
    add("--incomplete", action="store_true", help="keep stars that lack some of the labels")
    disagree = "leave out stars in whose Teff or [Fe/H] the surveys differ by more than so many errors"
    add("--max-disagreement", type=float, metavar="ERRORS", help=disagree)
    add("--connections", type=int, default=4, help="most transfers at a time (4)")
    add("--cache", help="folder for everything fetched")
    add("--dry-run", action="store_true", help="say how much would be fetched, and stop")
    return parser


def _add_bench(commands: Any) -> None:
    """Add the commands of the bench."""
    trial_parser = commands.add_parser("trial", help="put your technique or model to worlds of planted truth")
    trial_parser.set_defaults(run=_trial)
    add = trial_parser.add_argument
    add("subject", metavar="MODULE:NAME", help="a function (model, train, test, label, lines) -> float, or a model")
    add("--name", help="in the table; that of the subject by default")
    add("--model", default="Lux", help="what a technique interrogates: a name such as Lux, or MODULE:NAME (Lux)")
    add("--seeds", type=int, default=20, help="worlds of a kind, 2 to 20 (20)")
    add("--time-limit", type=float, default=60.0, metavar="SECONDS", help="that a world may take (60)")
    add("--workers", type=int, help="processes; as many as there are cores by default")
    add("--folder", help="where measured worlds are kept; a new one measures all of them anew")
    add("--json", metavar="FILE", help="also write everything as JSON")
    add("--figure", metavar="FILE", help="also draw the power against the depth of lines")
    worlds_parser = commands.add_parser("worlds", help="write the worlds of the bench as files")
    worlds_parser.set_defaults(run=_worlds)
    worlds_parser.add_argument("--out", required=True, metavar="FOLDER")
    worlds_parser.add_argument("--seeds", type=int, default=5, help="worlds of a kind, 2 to 20 (5: 75 files, 0.7 GB)")
    score_parser = commands.add_parser("score", help="score answers to these files")
    score_parser.set_defaults(run=_score)
    score_parser.add_argument("folder", metavar="FOLDER", help="that lux worlds wrote")
    score_parser.add_argument("answers", metavar="ANSWERS", help="CSV with the columns world and answer")
    score_parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


if __name__ == "__main__":
    sys.exit(main())
