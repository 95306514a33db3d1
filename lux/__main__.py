"""The command line: ``python -m lux audit SURVEY.h5 --label eu_fe``, ``python -m lux fetch apogee-galah``."""

import argparse
import codecs
import io
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lux.auditing.report import Report


def main(arguments: list[str] | None = None) -> int:
    """Run a command; return 0, or 2 with a message on standard error if the input is wrong or data cannot be had."""
    _print_anywhere()
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except (ValueError, OSError) as error:
        print(f"lux: {error}", file=sys.stderr)
        return 2
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
    from lux.datasets.load import load
    from lux.models.lux import Lux

    if options.own_lines is not None and options.label is None:
        raise ValueError("--own-lines are those of one label: name it with --label")
    survey = load(options.survey).drop_masked_pixels()
    if options.label is not None:
        # Before a model is fitted, which takes minutes.
        survey.label_index(options.label)
    train, test = survey.split(options.test_fraction, options.seed)
    model = Lux(options.latents).fit(train) if options.model is None else Lux.load(options.model)
    if options.label is None:
        reports = list(audit_all(model, train, test, seed=options.seed).values())
    else:
        reports = [audit(model, train, test, options.label, options.own_lines, seed=options.seed)]
    if options.json:
        print("[" + ",\n".join(report.to_json() for report in reports) + "]")
    else:
        print("\n\n".join(str(report) for report in reports), flush=True)
    # A report that took minutes must not be lost to a drawing that fails.
    if options.figures is not None:
        _draw(reports, Path(options.figures))


def _draw(reports: "list[Report]", folder: Path) -> None:
    """Write a page for each report that holds evidence."""
    from matplotlib import pyplot

    from lux.figures import paper_style
    from lux.figures.audit import page
    from lux.storage import atomic_write

    folder.mkdir(parents=True, exist_ok=True)
    for report in reports:
        if report.evidence:
            drawn, name = page(report), re.sub(r"[^\w.+-]+", "_", report.label)
            with paper_style(), atomic_write(folder / f"audit-{name}.png") as temporary:
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m lux", description="Known or guessed?")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    audit_parser = commands.add_parser("audit", help="tell whether a label is known from the flux or guessed")
    audit_parser.set_defaults(run=_audit)
    add = audit_parser.add_argument
    add("survey", help="HDF5 survey, or the name of a data set such as apogee-dr10")
    add("--label", help="label to audit; all of them by default")
    wavelengths = "vacuum wavelengths of the label's own lines; none given: it has none"
    add("--own-lines", type=float, nargs="*", metavar="ANGSTROM", help=wavelengths)
    add("--model", help="fitted Lux model (.npz); one is fitted by default")
    add("--latents", type=int, default=21, help="latents of the model that is fitted (21)")
    add("--test-fraction", type=float, default=0.3, help="share of stars held out (0.3)")
    add("--seed", type=int, default=0)
    add("--figures", metavar="FOLDER", help="also draw a page for each label, audit-LABEL.png")
    add("--json", action="store_true", help="print JSON instead of a table")
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


if __name__ == "__main__":
    sys.exit(main())
