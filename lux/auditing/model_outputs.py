"""What the audited model does with the test stars: it predicts them, again, and with the label's values shuffled.

A model may be anything that gives labels for spectra; what it returns is brought into one form here.
"""

import dataclasses
import inspect
import re
from collections.abc import Callable, Mapping
from numbers import Real
from typing import Any

import numpy as np
from astropy.units import Quantity, Unit

from lux.auditing.settings import AuditSettings
from lux.models.prediction import Prediction, StoredPrediction
from lux.models.requirements import LABEL_SENTINELS, SENTINEL_DISTANCE
from lux.statistics import robust_std
from lux.store.columns import as_text, join_stars
from lux.store.quantities import without_mask
from lux.survey import Survey, plain_name

# An object with ``predict_labels(survey)``, one with ``predict(flux)``, a function of the flux, or the predictions.
LabelModel = Any
_ID_COLUMN = "star_id"
_WAY_OUT = "call the column that names the stars 'star_id', or leave ids out if the rows are in the order of the stars"
# Of errors that are as stated, the part within which no honest prediction keeps to the catalogue.
_TOO_CLOSE = 0.5
# Of the scatter of a label, how far off its predictions, or by how much larger than it their scatter, may be.
_OFF_SCALE = 3.0


@dataclasses.dataclass(frozen=True, eq=False)
class ModelOutputs:
    """Predictions of one label for the T test stars.

    Parameters
    ----------
    predicted, repeated : (T,) arrays
        Two predictions from the same survey.
    shuffled : (T,) array
        Prediction after the label's catalogue values and errors were shuffled among the test stars.
    others : (T, K) array
        Predictions of those other labels that the survey has, too.
    catalogue : (T,) array
        The label; NaN where missing.
    gradient : (D,) array or None
        Of the predicted label with respect to the flux, where the model has it.
    """

    predicted: np.ndarray
    repeated: np.ndarray
    shuffled: np.ndarray
    others: np.ndarray
    catalogue: np.ndarray
    gradient: np.ndarray | None


def of_stars(
    model: LabelModel, test: Survey, rows: np.ndarray, label: str, columns: tuple[str, ...] | None = None
) -> LabelModel:
    """Return a model for those test stars alone that stand in `rows`: of predictions alone their own."""
    if isinstance(model, StoredPrediction):
        model = model.prediction
    if _is_asked(model):
        return model
    whole = _as_prediction(model, test, label, columns)
    return dataclasses.replace(whole, labels=whole.labels[rows], err=whole.err[rows])


def of_rows(outputs: ModelOutputs, rows: np.ndarray) -> ModelOutputs:
    """Return what a model says of those test stars alone that stand in `rows`."""
    names = ("predicted", "repeated", "shuffled", "others", "catalogue")
    return dataclasses.replace(outputs, **{name: getattr(outputs, name)[rows] for name in names})


def interrogate(
    model: LabelModel, test: Survey, label: str, seed: int, columns: tuple[str, ...] | None = None
) -> ModelOutputs:
    """Return what a model predicts of the test stars; `seed` is that of the shuffle.

    `columns` are the labels that it was fitted to, in their order; by default those of the test stars.

    Raises
    ------
    ValueError
        If the model is nothing that predicts, what it returns cannot be read as labels of the stars, the label is not
        among them, a prediction of it or of another label of the survey is not finite, or it returns columns without
        names and `columns` are in another order than the labels of the test stars.
    """
    if inspect.isclass(model):
        name = model.__name__
        raise ValueError(f"the model is the class {name}; give a fitted one, such as {name}().fit(...)")
    column = test.label_index(label)
    order = np.random.default_rng(seed).permutation(test.n_stars)
    labels, errors = np.array(test.labels), np.array(test.label_err)
    labels[:, column], errors[:, column] = labels[order, column], errors[order, column]
    shuffled = test.replace(labels=labels, label_err=errors)
    # Predictions alone are what they are, and need not be read three times.
    asked = (test, test, shuffled) if _is_asked(model) else (test,)
    said = [_as_prediction(_answer(model, survey), survey, label, columns) for survey in asked]
    first, second, third = said if len(said) > 1 else said * 3
    place = _place(first, label)
    gradient = None
    if hasattr(model, "label_jacobian"):
        gradient = model.label_jacobian(test[~np.isnan(test.label(label))])[place]
    return ModelOutputs(
        predicted=_column(first, test, label),
        repeated=_column(second, test, label),
        shuffled=_column(third, test, label),
        others=_others(first, test, label),
        catalogue=test.label(label),
        gradient=gradient,
    )


def _is_asked(model: LabelModel) -> bool:
    """Return whether a model says something of a survey, and is not what it has said."""
    return callable(model) or hasattr(model, "predict_labels") or hasattr(model, "predict")


def _answer(model: LabelModel, survey: Survey) -> Any:
    """Return what a model of any kind says of the stars of a survey, as it says it."""
    if hasattr(model, "predict_labels"):
        return model.predict_labels(survey)
    if not hasattr(model, "predict") and not callable(model):
        return model
    function: Any = getattr(model, "predict", model)
    return function(survey.flux, survey.ivar) if _takes_ivar(function) else function(survey.flux)


def _takes_ivar(function: Callable[..., Any]) -> bool:
    """Return whether a function asks for a second argument."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:
        return False
    return sum(each.default is each.empty and each.kind in (0, 1) for each in parameters) > 1


def _as_prediction(value: Any, survey: Survey, label: str, columns: tuple[str, ...] | None = None) -> Prediction:
    """Return what a model said as labels (N, M) with their names; ValueError, with what came, if it cannot be read."""
    if isinstance(value, tuple) and len(value) == 2:
        # Labels and their errors.
        value, errors = value
        if hasattr(errors, "__len__") and np.any(_numbers(errors) < 0):
            raise ValueError(
                "the model gave two arrays, which would be labels and their errors, and the second has values below "
                "zero; give the labels alone, a mapping of names to arrays, or an array with a column for each label"
            )
    if hasattr(value, "names") and hasattr(value, "labels"):
        names, labels = [str(name) for name in value.names], _numbers(value.labels)
    elif names := _columns(value):
        named_by = _id_column(value, names, survey)
        names = [name for name in names if name != named_by and _holds_numbers(value[name])]
        rows = None if named_by is None else _rows_by_id(value[named_by], survey, f"column {named_by!r}")
        arrays = [_numbers(_in_unit_of_label(value[name], survey, name)) for name in names]
        arrays = [
            array[_rows_by_index(value[name], survey) if rows is None else rows]
            for name, array in zip(names, arrays, strict=True)
        ]
        labels = np.stack(arrays, axis=-1) if names else np.empty((0, 0))
    else:
        labels = _numbers(_in_unit_of_label(value, survey, label))[_rows_by_index(value, survey)]
        labels = labels[:, None] if labels.ndim == 1 else labels
        names = [label] if labels.shape[1:] == (1,) else list(survey.label_names)
        if len(names) > 1 and columns is not None and columns != survey.label_names:
            raise ValueError(
                f"the model gave {type(value).__name__} of {labels.shape[1]} columns without names, and the labels of "
                f"the training stars ({', '.join(columns)}) are others than those of the test stars "
                f"({', '.join(survey.label_names)}), or in another order: let it return columns with names, or bring "
                "both into one order, survey.select_labels(...)"
            )
    if labels.shape != (survey.n_stars, len(names)):
        raise ValueError(
            f"the model gave {type(value).__name__} with labels of shape {labels.shape} for {survey.n_stars} test "
            f"stars; expected ({survey.n_stars},) for {label} alone, ({survey.n_stars}, {survey.n_labels}) for "
            f"{', '.join(survey.label_names)}, or columns with names"
        )
    return Prediction(tuple(names), labels, np.full(labels.shape, np.nan))


def _holds_numbers(column: Any) -> bool:
    # As an array, a column of pandas with missing numbers holds objects.
    dtype = column.dtype if hasattr(column, "dtype") else np.asarray(column).dtype
    if getattr(dtype, "kind", "O") != "O":
        return dtype.kind in "fiu"
    values = np.asarray(column, object)
    return values.size > 0 and all(isinstance(each, Real) and not isinstance(each, bool) for each in values.ravel())


def _in_unit_of_label(value: Any, survey: Survey, name: str) -> Any:
    """Return predictions of a label in the unit that the survey has it in, if they have another of the same kind."""
    unit_of = dict(zip(map(plain_name, survey.label_names), survey.label_units, strict=True))
    own = getattr(value, "unit", None)
    unit = Unit(unit_of.get(plain_name(name), ""), parse_strict="silent")
    return Quantity(without_mask(value)).to(unit) if own not in (None, unit) and unit.is_equivalent(own) else value


def _numbers(value: Any) -> np.ndarray:
    """Return labels as an array of numbers, NaN where masked; tensors that carry a gradient give it up."""
    for step in ("detach", "cpu"):
        value = getattr(value, step)() if hasattr(value, step) else value
    try:
        labels = np.asarray(without_mask(value), float)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"the model gave {type(value).__name__}, which holds no labels: expected a Prediction, an array, a table "
            f"or a mapping of label names to arrays ({error})"
        ) from error
    if labels.ndim not in (1, 2):
        raise ValueError(
            f"the model gave {type(value).__name__} of shape {labels.shape}; expected one or two dimensions of labels"
        )
    return labels


def _columns(value: Any) -> list[str]:
    """Return the names of the columns of a mapping or table, none for anything else or where they are numbers."""
    if isinstance(value, Mapping):
        return [str(name) for name in value]
    names = getattr(value, "colnames", getattr(value, "columns", getattr(getattr(value, "dtype", None), "names", None)))
    return [] if names is None or not all(isinstance(name, str) for name in names) else [str(name) for name in names]


def _id_column(table: Any, names: list[str], survey: Survey) -> str | None:
    """Return the column that names the stars: "star_id", in any case, or one of distinct text or ids that holds all.

    ValueError for one that names some stars and not others, or none although it is called an id. Where the stars are
    merely numbered, numbers name none of them.
    """
    if stated := [name for name in names if name.casefold() == _ID_COLUMN]:
        return stated[0]
    labels = {plain_name(name) for name in survey.label_names}
    strange = None
    for name in names if not _is_numbered(survey) else []:
        called_id = re.search(r"(?:^|[^a-z])id$", name.casefold()) is not None
        kinds = "USOiu" if called_id else "USO"
        if plain_name(name) in labels or getattr(getattr(table[name], "dtype", None), "kind", "O") not in kinds:
            continue
        ids = _distinct_ids(table[name])
        if ids.size == 0:
            continue
        if np.any(np.isin(survey.star_id, ids)):
            return name
        strange = name if called_id else strange
    if strange is not None:
        # With what the two look like; or that zeros were lost.
        join_stars(survey.star_id, table[strange], f"column {strange!r} of the predictions ({_WAY_OUT})")
    return None


def _is_numbered(survey: Survey) -> bool:
    """Return whether the names of stars are the numbers of their rows, as where none were given."""
    return bool(survey.star_id[0] == "0") and np.array_equal(survey.star_id, np.arange(survey.n_stars).astype(str))


def _distinct_ids(column: Any) -> np.ndarray:
    """Return ids as text without blanks; none if they are of another kind, or one stands twice."""
    if hasattr(column, "detach"):
        return np.empty(0)
    ids = as_text(np.ma.getdata(np.ma.asarray(column)))
    ids = _plain_ids(ids) if ids.dtype.kind in "Uiu" else np.empty(0)
    return ids if len(np.unique(ids)) == len(ids) else np.empty(0)


def _plain_ids(ids: np.ndarray) -> np.ndarray:
    return np.char.strip(ids.astype(str))


def _rows_by_index(value: Any, survey: Survey) -> slice | np.ndarray:
    """Return the row of each star of a series or frame of pandas, by its index if that is not the number of the row.

    Where the stars are merely numbered, an index does not say which star a row is of, and rows are in their order;
    ValueError if it has these very numbers in another.
    """
    index = getattr(value, "index", None) if hasattr(value, "iloc") else None
    if index is None or np.array_equal(index, np.arange(len(index))):
        return slice(None)
    if _is_numbered(survey):
        if np.array_equal(np.sort(np.asarray(index, object).astype(str)), np.sort(survey.star_id)):
            raise ValueError(
                "the predictions have an index that numbers their rows in another order than that of the stars: bring "
                "them into the order of the stars, sort_index(), or call reset_index(drop=True) if they are in it"
            )
        return slice(None)
    if not np.all(np.isin(survey.star_id, _plain_ids(as_text(index)))):
        raise ValueError(
            f"the predictions have an index ({index[0]}, ...) that neither numbers their rows nor names all test stars "
            f"({survey.star_id[0]}, ...): if they are in the order of the stars, call reset_index(drop=True) on them"
        )
    return _rows_by_id(index, survey, "index")


def _rows_by_id(ids: Any, survey: Survey, place: str) -> np.ndarray:
    """Return the row of each star by the ids of rows; ValueError if one is missing or stands twice.

    Blanks around an id do not count, and a masked one is no star.
    """
    found, rows = join_stars(survey.star_id, ids, place)
    if not np.all(found):
        raise ValueError(
            f"{np.sum(~found)} of {survey.n_stars} test stars are not in the {place} of the predictions, such as "
            f"{survey.star_id[np.argmin(found)]}"
        )
    return rows


def follows_noise(outputs: ModelOutputs, label_err: np.ndarray, settings: AuditSettings) -> str:
    """Return, as the end of a reason, that a prediction follows the catalogue's noise; empty if it does not.

    It does if it keeps closer to the label than the errors (T,) allow, were they overstated by as much as is believed.
    """
    present = ~np.isnan(outputs.catalogue)
    chi = (outputs.predicted - outputs.catalogue)[present] / label_err[present]
    # Of most stars: a few that it missed do not hide it.
    closeness = float(1.4826 * np.median(np.abs(chi)))
    if not closeness < _TOO_CLOSE / settings.max_overstatement:
        return ""
    return (
        f"; the prediction keeps within {closeness:.2g} of the catalogue's errors, its noise and all: was the model "
        "fitted to these stars, or are the errors overstated?"
    )


def off_scale(outputs: ModelOutputs) -> str:
    """Return, as the end of a reason, that predictions, or some of them, are on another scale than the label, or not.

    Of a few that are far from all others by all that the label scatters, each would outweigh all others.
    """
    present = ~np.isnan(outputs.catalogue)
    predicted, label = outputs.predicted[present], outputs.catalogue[present]
    # Of a model, some predictions may have failed.
    center, scatter = float(np.median(predicted)), float(robust_std(predicted))
    own_center, own_scatter = float(np.median(label)), float(np.std(label))
    if abs(center - own_center) < _OFF_SCALE * own_scatter and scatter < _OFF_SCALE * own_scatter:
        distance = np.abs(predicted - center)
        count = int(np.sum(distance > SENTINEL_DISTANCE * max(scatter, own_scatter)))
        return (
            f"; {count} of {len(predicted)} predictions are far from all others, such as "
            f"{predicted[np.argmax(distance)]:.3g}, and decide what is said of the model: leave those stars out"
        ) * (count > 0)
    return (
        f"; the predictions are {center:.3g} +- {scatter:.2g} and the label {own_center:.3g} +- {own_scatter:.2g}: are "
        "they this label, and in its unit?"
    )


def _place(prediction: Prediction, label: str) -> int:
    """Return the column of a label, whose name may be spelled in another way; ValueError if it is not there."""
    if label in prediction.names:
        return prediction.names.index(label)
    plain = [plain_name(name) for name in prediction.names]
    if plain.count(plain_name(label)) != 1:
        raise ValueError(f"the model predicts {', '.join(prediction.names)} and not {label}; nothing can be audited")
    return plain.index(plain_name(label))


def _others(prediction: Prediction, survey: Survey, label: str) -> np.ndarray:
    """Return the predictions (T, K) of other labels of the survey; other columns, such as errors, are no predictions.

    Raises
    ------
    ValueError
        If one is not finite.
    """
    wanted = {plain_name(name) for name in survey.label_names} - {plain_name(label)}
    names = [name for name in prediction.names if plain_name(name) in wanted]
    if not names:
        return np.empty((survey.n_stars, 0))
    return np.stack(
        [_column(prediction, survey, name, "leave that column or those stars out") for name in names], axis=1
    )


def _column(prediction: Prediction, survey: Survey, label: str, way_out: str = "nothing can be audited") -> np.ndarray:
    """Return the prediction (T,) of one label; ValueError if it is not finite."""
    values = prediction.labels[:, _place(prediction, label)]
    if not np.all(np.isfinite(values)):
        star = survey.star_id[int(np.argmin(np.isfinite(values)))]
        raise ValueError(f"the model's prediction of {label} for star {star} is not finite; {way_out}")
    failed = np.isin(values, LABEL_SENTINELS)
    if np.any(failed):
        scatter = max(float(robust_std(values)), float(np.nanstd(survey.label(label))))
        failed &= np.abs(values - np.median(values)) > SENTINEL_DISTANCE * scatter
    if np.any(failed):
        value, star = values[failed][0], survey.star_id[int(np.argmax(failed))]
        raise ValueError(
            f"the model's prediction of {label} is {value:g} for {np.sum(failed)} stars, such as {star}: does it stand "
            f"for a missing one? {way_out[:1].upper() + way_out[1:]}"
        )
    return values
