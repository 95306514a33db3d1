"""The worlds of the bench as files, for those who work in other languages, and the scoring of their answers.

A folder holds a survey a world (HDF5), a manifest that names them with their checksums, and the truth in a file of its
own. An answer is one number a world, the larger, the more it speaks for the label being known.
"""

import csv
import hashlib
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from lux.controls import bench
from lux.controls.ensemble import CANDIDATE_LINES, LABEL
from lux.controls.runner import tasks_of
from lux.controls.techniques import make_world
from lux.simulation import cramer_rao
from lux.store.files import atomic_write

MANIFEST, TRUTH = "manifest.json", "truth.json"
_COLUMNS = ("world", "answer")
_MAX_SHOWN = 5
# Files of a folder of worlds, and those that a killed process had begun.
_OURS = re.compile(
    r"world-\d{4}\.h5|manifest\.json|truth\.json|\.(world-\d{4}\.h5|manifest\.json|truth\.json)\..+\.part"
)
_HOW = (
    "Each file is a survey: wavelength (D,) in vacuum Angstrom, flux and ivar (N, D), labels and label_err (N, M), "
    "whose names are in the attribute label_names of the file, a text that holds a JSON list. Stars with "
    "catalogue/is_test = 1 are held out. Answer with a CSV file of the columns world and answer: one number for each "
    "world, the larger, the more it speaks for the flux knowing the label beyond what the other labels tell. The lines "
    "are where the label has its lines, if it has any. Worlds may share stars; compare none with another. The truth is "
    "in truth.json: do not look before you have answered."
)


def write_worlds(folder: str | Path, n_seeds: int = 5, *, progress: bool | None = None) -> Path:
    """Write worlds of the bench to a folder, which is made if needed; return the path of the manifest.

    The manifest is written last: a folder without one is not complete.

    Parameters
    ----------
    folder : path
    n_seeds : int
        Worlds of a kind, 2 to 20; thirteen kinds, of two of which there are twice as many, 9 MB each.
    progress : bool, optional
        Whether to show how far it is; by default on a terminal.

    Raises
    ------
    ValueError
        If `n_seeds` is out of range, or the folder holds something else.
    """
    bench.check_seeds(n_seeds)
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file; give the name of a folder")
    folder.mkdir(parents=True, exist_ok=True)
    # The manifest goes first: a folder without one is not complete.
    before = sorted(folder.iterdir(), key=lambda path: (path.name != MANIFEST, path.name))
    if foreign := [path.name for path in before if not (path.is_file() and _OURS.fullmatch(path.name))]:
        raise ValueError(f"{folder} holds {foreign[0]!r}, which is not of the bench; give an empty or a new folder")
    for path in before:
        path.unlink(missing_ok=True)
    tasks = [task for cell in bench.bench_cells(n_seeds) for task in tasks_of(cell, bench.FIRST_SEED)]
    spectra = bench.bench_spectra()
    listed, truth = [], {}
    order = np.random.default_rng(bench.FIRST_SEED).permutation(len(tasks))
    hidden = None if progress is None else not progress
    for number, place in enumerate(tqdm(order, desc="worlds", unit="world", disable=hidden), 1):
        name = f"world-{number:04d}"
        cell, seed, star_seed = tasks[place]
        made = make_world(cell, seed, star_seed, spectra if cell.generator == "empirical" else None)
        survey, is_test = made.survey, np.isin(made.survey.star_id, made.test.star_id)
        shown = bench.sealed(survey).replace(catalogue={**survey.catalogue, "is_test": is_test.astype(np.int8)})
        path = folder / f"{name}.h5"
        shown.save(path, compress=False)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        listed.append({"world": name, "file": path.name, "sha256": digest, "n_stars": survey.n_stars})
        bound = cramer_rao.sample_significance(survey)
        truth[name] = {"cell": cell.key, "seed": seed, "bound": float(bound)}
    about = {"bench": bench.VERSION, "n_seeds": n_seeds}
    _write_json(folder / TRUTH, about | {"worlds": truth})
    given = {"label": LABEL, "lines": list(CANDIDATE_LINES), "how": _HOW, "worlds": listed}
    _write_json(folder / MANIFEST, about | given)
    return folder / MANIFEST


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(content), encoding="utf-8")


def score_answers(folder: str | Path, answers: str | Path, name: str | None = None) -> bench.BenchRow:
    """Return the row of answers to the worlds of a folder.

    Parameters
    ----------
    folder : path
        That `write_worlds` wrote.
    answers : path
        CSV with the columns "world" and "answer", a row for each world.
    name : str, optional
        Of the row; that of the file by default.

    Raises
    ------
    FileNotFoundError
        If there are no such worlds or answers.
    ValueError
        If the worlds are of another version of the bench, or answers are missing, unknown, twice there or not finite.
    """
    folder, answers = Path(folder), Path(answers)
    content = _read_truth(folder / TRUTH)
    found = _read_answers(answers, content["worlds"])
    worlds = [about | {"answer": found[world]} for world, about in content["worlds"].items()]
    worlds.sort(key=lambda world: (world["cell"], world["seed"]))
    return bench.bench_row(name or answers.stem, worlds, "answer", content["n_seeds"])


def _read_answers(path: Path, worlds: Mapping[str, Any]) -> dict[str, float]:
    """Return the answers by world, all of them."""
    if not path.is_file():
        raise FileNotFoundError(f"no answers at {path}")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text in UTF-8 ({error}); save it as CSV in UTF-8") from error
    reader, table = csv.reader(lines), []
    try:
        for row in reader:
            # Empty lines, above the columns or elsewhere, say nothing.
            if any(fields := [field.strip() for field in row]):
                table.append((reader.line_num, fields))
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num}: {error}") from error
    (_, columns), *rows = table or [(0, [])]
    if missing := [column for column in _COLUMNS if columns.count(column) != 1]:
        has = f"has the columns {', '.join(columns)}" if columns else "is empty"
        what = "has twice" if missing[0] in columns else "lacks"
        raise ValueError(f"{path} {what} the column {missing[0]!r}: it {has}; expected {','.join(_COLUMNS)}")
    places = [columns.index(column) for column in _COLUMNS]
    found: dict[str, float] = {}
    for number, row in rows:
        if len(row) != len(columns):
            told = f"{path}, line {number}: {len(row)} fields where the columns are {len(columns)}"
            raise ValueError(f"{told}; fields are separated by commas, and a number has a point: world-0001,0.5")
        world, answer = (row[place] for place in places)
        if world not in worlds:
            raise ValueError(f"{path}, line {number}: there is no world {world!r}")
        if world in found:
            raise ValueError(f"{path}, line {number}: {world} has been answered before")
        try:
            # Python's underscores between digits are those of nobody else.
            found[world] = float(answer.replace("_", "?"))
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: {answer!r} is no number") from error
        if not math.isfinite(found[world]):
            raise ValueError(f"{path}, line {number}: {answer} is not finite")
    if lacking := [world for world in worlds if world not in found]:
        shown = ", ".join(lacking[:_MAX_SHOWN]) + (", ..." if len(lacking) > _MAX_SHOWN else "")
        raise ValueError(f"{path} lacks {len(lacking)} of {len(worlds)} worlds: {shown}")
    return found


def _read_truth(path: Path) -> dict[str, Any]:
    """Return the truth of a folder; ValueError if it is of another version of the bench, or damaged."""
    if not path.is_file():
        raise FileNotFoundError(f"no {path.name} in {path.parent}; write worlds there with lux worlds --out FOLDER")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        version = content["bench"]
        if version == bench.VERSION:
            expected = sum(cell.seeds for cell in bench.bench_cells(content["n_seeds"]))
            if not isinstance(content["worlds"], dict) or len(content["worlds"]) != expected:
                raise KeyError("worlds")
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged ({error}); write the worlds anew") from error
    if version != bench.VERSION:
        raise ValueError(f"{path.parent} is of bench {version}, this is {bench.VERSION}; write the worlds anew")
    return content
