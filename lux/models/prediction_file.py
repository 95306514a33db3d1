"""Predictions of surveys larger than memory, written to one file a block of stars at a time."""

import collections
import dataclasses
import json
import numbers
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from tqdm import tqdm

from lux.models.prediction import Prediction
from lux.store.files import atomic_write, require_space
from lux.store.user_warnings import warn_user
from lux.survey import Survey

_FORMAT = "lux-predictions-1"
_TABLE = "predictions"
_SUFFIXES = (".h5", ".hdf5", ".hdf")


def write_predictions(
    model: Any, survey: Survey, path: str | os.PathLike, *, block_size: int = 4096, progress: bool | None = None
) -> None:
    """Predict the labels of a survey block by block, and write them to one HDF5 table, whole or not at all.

    No more than a block of spectra and predictions is held. ``astropy.table.Table.read(path)`` reads the table: a row
    for each star with its ``star_id``, each label under its name and its standard error under ``<label>_err``, in the
    label's unit. `lux.audit` takes the table in the place of a model. Covariances are not kept.

    Parameters
    ----------
    model : object with ``predict_labels(survey)``
        Its predictions of a star must not depend on which others are predicted with it.
    survey : Survey
        In memory, or opened by `lux.open`.
    path : str or path
    block_size : int
        Stars predicted at a time.
    progress : bool, optional
        Whether to show rate and time left; by default where there is a terminal.

    Raises
    ------
    ValueError
        If the model has no ``predict_labels``, `block_size` is less than one, the name of the file is not that of an
        HDF5 file, the file is there and holds anything but predictions, the model gives labels of another number of
        stars, errors of another shape, or other names than in the blocks before.
    OSError
        If the disk has no room.

    Warns
    -----
    UserWarning
        If predictions are not finite, with their number.
    """
    if not hasattr(model, "predict_labels"):
        raise ValueError(
            f"predictions are written of a model with predict_labels(survey), which returns a lux.Prediction, got "
            f"{type(model).__name__}; give it as an object with such a method"
        )
    if not isinstance(block_size, numbers.Integral) or block_size < 1:
        raise ValueError(f"block_size = {block_size}; expected the number of stars to predict at a time, at least 1")
    _refuse_another_file(Path(path))
    bar = tqdm(total=survey.n_stars, unit="star", leave=False, disable=None if progress is None else not progress)
    failed: collections.Counter[str] = collections.Counter()
    with bar, atomic_write(path) as temporary, h5py.File(temporary, "w") as file:
        table = None
        for rows, prediction in _predicted(model, survey, block_size):
            if table is None:
                names, row = prediction.names, _row(survey, prediction.names)
                require_space(temporary.parent, survey.n_stars * row.itemsize)
                table = file.create_dataset(_TABLE, survey.n_stars, row, chunks=True, fletcher32=True)
                table.attrs.update(format=_FORMAT, model=type(model).__name__, units=_units(survey, names))
            if prediction.names != names:
                raise ValueError(
                    f"stars {rows.start} to {rows.stop - 1} came with labels {prediction.names}, not {names}"
                )
            table[rows] = _filled(survey.star_id[rows], prediction, row)
            failed.update(dict(zip(names, np.sum(~np.isfinite(prediction.labels), axis=0).tolist(), strict=True)))
            bar.update(rows.stop - rows.start)
    if told := ", ".join(f"{name} of {count}" for name, count in failed.items() if count):
        warn_user(f"{type(model).__name__} predicts nothing finite for some of the {survey.n_stars} stars: {told}")


def _refuse_another_file(path: Path) -> None:
    """Raise ValueError if the name is not that of an HDF5 file, or what it names holds anything but predictions."""
    if path.suffix not in _SUFFIXES:
        raise ValueError(f"predictions are written to an HDF5 file, and {path.name!r} ends in none of {_SUFFIXES}")
    if not path.is_file() or not path.stat().st_size:
        return
    try:
        with h5py.File(path, "r") as file:
            ours = _TABLE in file and file[_TABLE].attrs.get("format") == _FORMAT
    except OSError:
        ours = False
    if not ours:
        raise ValueError(f"{path} is there and holds no predictions, which would replace it: give another name")


def _predicted(model: Any, survey: Survey, block_size: int) -> Iterator[tuple[slice, Prediction]]:
    for rows in survey.block_rows(block_size):
        prediction = _unmasked(model.predict_labels(survey[rows]))
        if len(prediction.labels) != (n_stars := rows.stop - rows.start):
            raise ValueError(f"{type(model).__name__} gave the labels of {len(prediction.labels)} stars for {n_stars}")
        expected = (n_stars, len(prediction.names))
        for what in ("labels", "err"):
            # A row of them would be repeated for all stars.
            if (shape := np.shape(getattr(prediction, what))) != expected:
                raise ValueError(
                    f"{type(model).__name__} gave {what} of shape {shape} for {n_stars} stars and the names "
                    f"{', '.join(prediction.names)}; expected {expected}, NaN where an error is not known"
                )
        yield rows, prediction


def _unmasked(prediction: Prediction) -> Prediction:
    """Return a prediction with NaN where a label or an error is masked."""

    def filled(values: np.ndarray) -> np.ndarray:
        return np.ma.filled(np.ma.asarray(values, float), np.nan)

    return dataclasses.replace(prediction, labels=filled(prediction.labels), err=filled(prediction.err))


def _row(survey: Survey, names: tuple[str, ...]) -> np.dtype:
    """Return the type of a row of the table."""
    width = np.char.encode(survey.star_id, "utf-8").dtype.itemsize
    columns = [column for name in names for column in (name, f"{name}_err")]
    listed = ["star_id", *columns]
    if twice := sorted({name for name in listed if listed.count(name) > 1}):
        raise ValueError(
            f"the table would have {', '.join(twice)} twice, of a label and of another's error: rename one"
        )
    return np.dtype([(listed[0], f"S{max(width, 1)}"), *((column, np.float64) for column in columns)])


def _filled(star_id: np.ndarray, prediction: Prediction, row: np.dtype) -> np.ndarray:
    filled = np.empty(len(star_id), row)
    filled["star_id"] = np.char.encode(star_id, "utf-8")
    for name, labels, err in zip(prediction.names, prediction.labels.T, prediction.err.T, strict=True):
        filled[name], filled[f"{name}_err"] = labels, err
    return filled


def _units(survey: Survey, names: tuple[str, ...]) -> str:
    """Return the units of labels, as JSON; of those that the survey does not have nothing."""
    known = dict(zip(survey.label_names, survey.label_units, strict=True))
    return json.dumps({name: known[name] for name in names if name in known})
