"""Whatever a user calls a model can be audited, or is refused in a sentence: what came, what was expected.

The module is long because each form of a model has its own case.
"""

import types

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from astropy import units as u
from astropy.table import Column, MaskedColumn, Table
from linear_truth import linear_survey
from scipy import stats
from sklearn.linear_model import Ridge

import lux
from lux.auditing import AuditSettings
from lux.auditing.model_outputs import ModelOutputs, follows_noise, interrogate, of_stars, off_scale
from lux.models.baselines import FluxRegression
from lux.models.prediction import Prediction, StoredPrediction
from lux.models.prediction_file import write_predictions

LABEL = "label_1"


@pytest.fixture(scope="module")
def divided():
    return linear_survey(n_stars=200, n_pixels=80, masked=0).split(0.3)


@pytest.fixture(scope="module")
def ridge(divided):
    train, _ = divided
    return Ridge().fit(train.flux, train.labels)


class Tensor:
    """What a tensor that carries a gradient does: it gives its numbers once it is detached and on the processor."""

    def __init__(self, values, detached=False):
        self.values, self.detached = values, detached

    def detach(self):
        return Tensor(self.values, detached=True)

    def cpu(self):
        return self

    def __array__(self, dtype=None, copy=None):
        if not self.detached:
            raise RuntimeError("call detach() first")
        return np.asarray(self.values, dtype)


class Frame(dict):
    """As much of a data frame as is read of it: columns by name, which are an index and no list."""

    @property
    def columns(self):
        return np.array(list(self), object)


class Answer:
    """A model with ``predict_labels`` that gives what it is told to make of the right labels."""

    def __init__(self, ridge, form):
        self.ridge, self.form = ridge, form

    def predict_labels(self, survey):
        return self.form(self.ridge.predict(survey.flux), survey)


def of_names(names):
    return lambda labels, survey: Prediction(names, labels, labels)


FORMS = {
    "array of the label": lambda labels, survey: labels[:, 1],
    "array of the label as a column": lambda labels, survey: labels[:, [1]],
    "array of all labels": lambda labels, survey: labels,
    "single precision": lambda labels, survey: labels.astype(np.float32),
    "array of JAX": lambda labels, survey: jnp.asarray(labels),
    "tensor": lambda labels, survey: Tensor(labels),
    "list": lambda labels, survey: labels.tolist(),
    "labels and errors": lambda labels, survey: (labels, np.ones_like(labels)),
    "mapping": lambda labels, survey: {LABEL: labels[:, 1]},
    "mapping in another order": lambda labels, survey: {"label_2": labels[:, 2], LABEL: labels[:, 1]},
    "table": lambda labels, survey: Table(labels, names=survey.label_names),
    "table of other columns too": lambda labels, survey: Table({"field": ["a"] * len(labels), LABEL: labels[:, 1]}),
    "data frame": lambda labels, survey: Frame({LABEL: labels[:, 1]}),
    "names as an array": lambda labels, survey: of_names(np.array(survey.label_names))(labels, survey),
    "names in capitals": of_names(("LABEL_0", "LABEL_1", "Label 2")),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_labels_of_every_form_are_read(divided, ridge, form):
    _, test = divided
    outputs = interrogate(Answer(ridge, form), test, LABEL, seed=0)
    np.testing.assert_allclose(outputs.predicted, ridge.predict(test.flux)[:, 1], rtol=1e-5)


MODELS = {
    "estimator": lambda ridge: ridge,
    "function of the flux": lambda ridge: lambda flux: ridge.predict(flux),
    "function of flux and errors": lambda ridge: lambda flux, ivar: ridge.predict(np.where(ivar > 0, flux, 1)),
    "estimator of flux and errors": lambda ridge: types.SimpleNamespace(
        predict=lambda flux, ivar: ridge.predict(np.where(ivar > 0, flux, 1))
    ),
    "function of both by place": lambda ridge: lambda flux, ivar, /: ridge.predict(np.where(ivar > 0, flux, 1)),
    "function with any options": lambda ridge: lambda flux, **options: ridge.predict(flux, **options),
    "function with an option": lambda ridge: lambda flux, scale=1.0: ridge.predict(flux) * scale,
}


@pytest.mark.parametrize("made", MODELS.values(), ids=MODELS)
def test_estimators_and_functions_are_models(divided, ridge, made):
    _, test = divided
    outputs = interrogate(made(ridge), test, LABEL, seed=0)
    np.testing.assert_allclose(outputs.predicted, ridge.predict(test.flux)[:, 1], rtol=1e-5)


def test_predictions_alone_are_a_model_and_are_joined_by_the_id_of_the_star(divided, ridge):
    _, test = divided
    labels = ridge.predict(test.flux)
    order = np.random.default_rng(0).permutation(test.n_stars)
    table = Table({"star_id": test.star_id, LABEL: labels[:, 1]})[order]
    for model in (labels, labels[:, 1], {LABEL: labels[:, 1]}, table, of_names(test.label_names)(labels, test)):
        np.testing.assert_allclose(interrogate(model, test, LABEL, seed=0).predicted, labels[:, 1])


@pytest.fixture(scope="module")
def europium():
    survey = lux.load("synthetic", n_stars=600, seed=3, wavelength_range=(15400, 15500))
    train, test = survey.split(0.3)
    return FluxRegression(Ridge(alpha=10.0)).fit(train), train, test


def test_an_audit_says_the_same_of_a_model_in_every_form(europium, tmp_path):
    model, train, test = europium
    write_predictions(model, test[::-1], tmp_path / "predicted.h5")
    labels = model.predict_labels(test).labels
    kinds = {"own": model, "function": lambda flux, ivar: model.predict_labels(test.replace(flux=flux, ivar=ivar))}
    kinds |= {"array": labels, "stored": StoredPrediction(model.predict_labels(test))}
    kinds["file"] = Table.read(tmp_path / "predicted.h5")
    reports = {name: str(lux.audit(kind, train, test, "eu_fe")) for name, kind in kinds.items()}
    assert len(set(reports.values())) == 1


def test_columns_that_are_no_labels_of_the_survey_are_no_predictions(divided, ridge):
    """Errors, coordinates or what else a table holds must not be partialled out of the prediction."""
    _, test = divided
    labels = dict(zip(test.label_names, ridge.predict(test.flux).T, strict=True))
    extra = {f"{LABEL}_err": np.full(test.n_stars, np.nan), "li_h": labels[LABEL] + 1e-3, "ra": np.arange(test.n_stars)}
    assert interrogate(labels | extra, test, LABEL, seed=0).others.shape == (test.n_stars, test.n_labels - 1)
    other = next(name for name in labels if name != LABEL)
    with pytest.raises(ValueError, match=rf"prediction of {other} for star .* is not finite; leave that column or"):
        interrogate(labels | {other: np.full(test.n_stars, np.nan)}, test, LABEL, seed=0)


@pytest.mark.slow
def test_a_guess_of_one_label_alone_is_no_use_of_it(europium):
    """Without predictions of the other labels, what the flux gives of them takes their place."""
    model, train, test = europium
    guess = model.predict_labels(test).label("eu_fe")
    correlated = np.corrcoef(guess, test.label("eu_fe"))[0, 1]
    report = lux.audit(guess, train, test, "eu_fe")
    assert correlated * np.sqrt(test.n_stars) > 5
    assert report.verdict == "guessed"
    assert report.model_use.answer != "yes"


def without_first(labels):
    return np.ma.masked_array(labels, np.arange(len(labels)) == 0)


EMPTY = {
    "a table": lambda labels: Table({LABEL: MaskedColumn(without_first(labels))}),
    "whole numbers": lambda labels: Table({LABEL: MaskedColumn(without_first(labels.astype(int)))}),
    "an array": without_first,
    "a mapping": lambda labels: {LABEL: without_first(labels)},
    "a data frame": lambda labels: pd.DataFrame({LABEL: pd.Series([None, *labels[1:]], dtype="Float64")}),
}


@pytest.mark.parametrize("made", EMPTY.values(), ids=EMPTY)
def test_an_empty_cell_is_no_prediction(divided, ridge, made):
    _, test = divided
    with pytest.raises(ValueError, match=rf"prediction of {LABEL} for star {test.star_id[0]} is not finite"):
        interrogate(made(ridge.predict(test.flux)[:, 1]), test, LABEL, seed=0)


def test_an_empty_id_is_no_star(divided, ridge):
    _, test = divided
    labels = ridge.predict(test.flux)[:, 1]
    ids = np.ma.masked_array([*test.star_id, *test.star_id[:2]], [False] * test.n_stars + [True] * 2)
    table = Table({"star_id": MaskedColumn(ids), LABEL: [*labels, 9.0, 9.0]})[::-1]
    np.testing.assert_array_equal(interrogate(table, test, LABEL, seed=0).predicted, labels)
    ids[0] = np.ma.masked
    with pytest.raises(ValueError, match=rf"1 of {test.n_stars} test stars are not in the column .* {test.star_id[0]}"):
        interrogate(Table({"star_id": MaskedColumn(ids), LABEL: [*labels, 9.0, 9.0]}), test, LABEL, seed=0)


def shuffled(test):
    return np.random.default_rng(1).permutation(test.n_stars)


ORDERED = {
    "frame by its index": lambda ids, labels: pd.DataFrame({LABEL: labels}, index=ids),
    "series by its index": lambda ids, labels: pd.Series(labels, index=ids),
    "mapping of series": lambda ids, labels: {LABEL: pd.Series(labels, index=ids)},
    "table with capitals": lambda ids, labels: Table({"STAR_ID": ids, LABEL: labels}),
    "table with another name": lambda ids, labels: Table({"APOGEE_ID": ids, LABEL: labels}),
    "frame with another name": lambda ids, labels: pd.DataFrame({"obj": ids, LABEL: labels}),
    "frame with blanks": lambda ids, labels: pd.DataFrame({"star_id": [f"{each}  " for each in ids], LABEL: labels}),
}


@pytest.mark.parametrize("form", ORDERED.values(), ids=ORDERED)
def test_rows_that_name_their_stars_are_read_by_these_names(divided, ridge, form):
    test = divided[1].replace(star_id=[f"star-{number}" for number in range(divided[1].n_stars)])
    labels, order = ridge.predict(test.flux)[:, 1], shuffled(test)
    outputs = interrogate(form(test.star_id[order], labels[order]), test, LABEL, seed=0)
    np.testing.assert_allclose(outputs.predicted, labels)


def test_rows_in_an_order_that_cannot_be_known_are_refused(divided, ridge):
    test = divided[1].replace(star_id=[f"star-{number}" for number in range(divided[1].n_stars)])
    labels, order = ridge.predict(test.flux)[:, 1], shuffled(test)
    with pytest.raises(ValueError, match=r"index .* names all test stars .* reset_index\(drop=True\)"):
        interrogate(pd.DataFrame({LABEL: labels[order]}, index=order), test, LABEL, seed=0)
    others = [f"2M{number}" for number in order]
    with pytest.raises(ValueError, match=r"no star .* 'APOGEE_ID' .* or leave ids out"):
        interrogate(Table({"APOGEE_ID": others, LABEL: labels}), test, LABEL, seed=0)
    with pytest.raises(ValueError, match=r"no star of the survey .* the survey has star-0, ..., the table x"):
        interrogate({"star_id": [f"x{number}" for number in order], LABEL: labels}, test, LABEL, seed=0)
    with pytest.raises(ValueError, match="lose digits"):
        interrogate({"star_id": np.arange(float(test.n_stars)), LABEL: labels}, test, LABEL, seed=0)


def test_a_star_that_a_table_of_ids_lacks_is_named_and_lost_zeros_are(divided, ridge):
    test = divided[1].replace(star_id=[f"{number:04d}" for number in range(divided[1].n_stars)])
    labels = ridge.predict(test.flux)[:, 1]
    with pytest.raises(ValueError, match=r"1 of 60 test stars are not in the column 'name'.*such as 0007"):
        interrogate(
            Table({"name": [each.replace("0007", "x") for each in test.star_id], LABEL: labels}), test, LABEL, 0
        )
    with pytest.raises(ValueError, match="lost their leading zeros"):
        interrogate(Table({"source_id": np.arange(60), LABEL: labels}), test, LABEL, seed=0)


OTHER_COLUMNS = {"model_id": ["v3"] * 60, "valid": ["yes"] * 60, "field_id": [7] * 60, "snr": list(range(60, 0, -1))}


def test_columns_that_are_no_ids_do_not_order_the_rows(divided, ridge):
    test = divided[1].replace(star_id=[f"star-{number}" for number in range(divided[1].n_stars)])
    labels = ridge.predict(test.flux)[:, 1]
    outputs = interrogate(Table({**OTHER_COLUMNS, LABEL: labels}), test, LABEL, seed=0)
    np.testing.assert_allclose(outputs.predicted, labels)


def test_stars_that_are_merely_numbered_are_in_their_order(divided, ridge):
    test = divided[1].replace(star_id=np.arange(divided[1].n_stars).astype(str))
    labels, order = ridge.predict(test.flux)[:, 1], shuffled(test)
    for given in (pd.Series(labels, index=order + 7), pd.DataFrame({"rank_id": order, LABEL: labels})):
        np.testing.assert_allclose(interrogate(given, test, LABEL, seed=0).predicted, labels)
    with pytest.raises(ValueError, match="numbers their rows in another order"):
        interrogate(pd.Series(labels, index=order), test, LABEL, seed=0)


def test_a_frame_without_names_is_the_array_it_holds(divided, ridge):
    labels = ridge.predict(divided[1].flux)
    outputs = interrogate(pd.DataFrame(labels), divided[1], LABEL, seed=0)
    np.testing.assert_allclose(outputs.predicted, labels[:, 1])


def test_columns_without_names_are_refused_where_the_order_of_labels_is_not_one(divided, ridge):
    train, test = divided
    other = test.select_labels(("label_2", "label_0", LABEL))
    with pytest.raises(ValueError, match=r"columns without names.*in another order"):
        interrogate(ridge, other, LABEL, seed=0, columns=train.label_names)
    labels = ridge.predict(test.flux)
    named = interrogate(dict(zip(train.label_names, labels.T, strict=True)), other, LABEL, 0, train.label_names)
    np.testing.assert_allclose(named.predicted, labels[:, 1])


def test_predictions_in_another_unit_are_converted_to_that_of_the_label(divided, ridge):
    _, test = divided
    test, labels = test.replace(label_units=("", "K", "")), ridge.predict(test.flux)[:, 1]
    for values in (labels / 1000 * u.kK, Table({LABEL: Column(labels / 1000, unit="kK")}), {LABEL: labels * u.K}):
        np.testing.assert_allclose(interrogate(values, test, LABEL, seed=0).predicted, labels)


WRONG = {
    "half of the stars": (lambda labels, survey: labels[::2], r"shape \(30, 3\) for 60 test stars; expected \(60,\)"),
    "two of three labels": (lambda labels, survey: labels[:, :2], r"ndarray with labels of shape \(60, 2\)"),
    "the estimator itself": (
        lambda labels, survey: Ridge(),
        "gave Ridge, which holds no labels: expected",
    ),
    "nothing": (lambda labels, survey: None, r"gave NoneType of shape \(\); expected one or two"),
    "text": (lambda labels, survey: "guessed", "gave str, which holds no labels"),
    "another label": (lambda labels, survey: {"teff": labels[:, 0]}, f"predicts teff and not {LABEL}"),
    "three dimensions": (lambda labels, survey: labels[None], r"ndarray of shape \(1, 60, 3\); expected one or two"),
    "a label that is not finite": (lambda labels, survey: labels * np.nan, f"prediction of {LABEL} for star star-"),
    "no such stars": (
        lambda labels, survey: {"star_id": ["x"], LABEL: [1.0]},
        "no star of the survey is in the column .star_id.: the survey has star-0",
    ),
    "a star twice": (lambda labels, survey: {"star_id": ["x", "x"], LABEL: [1.0, 2.0]}, "names x twice"),
    "no column of numbers": (lambda labels, survey: {"name": ["x"]}, r"gave dict with labels of shape \(0, 0\)"),
}


@pytest.mark.parametrize(("form", "message"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_read_as_labels_is_refused_with_what_came(divided, ridge, form, message):
    _, test = divided
    with pytest.raises(ValueError, match=message):
        interrogate(Answer(ridge, form), test, LABEL, seed=0)


def test_a_class_is_no_fitted_model(divided):
    train, test = divided
    with pytest.raises(ValueError, match=r"the model is the class Ridge; give a fitted one, such as Ridge\(\).fit"):
        lux.audit(Ridge, train, test, LABEL, ())


def test_a_model_that_cannot_be_asked_is_found_before_anything_is_measured(divided, monkeypatch):
    monkeypatch.setattr("lux.auditing.measurements.measure", lambda *arguments: pytest.fail("measured"))
    train, test = divided
    with pytest.raises(ValueError, match="gave object, which holds no labels"):
        lux.audit(object(), train, test, LABEL, (), settings=AuditSettings())


class Reader:
    """A model that says what the catalogue does, and the error as another label; it has a gradient."""

    def predict_labels(self, survey):
        labels = np.array(survey.labels)
        labels[:, 2] = survey.label_err[:, 1]
        return Prediction(survey.label_names, labels, labels)

    def label_jacobian(self, survey):
        assert not np.any(np.isnan(survey.label(LABEL)))
        return np.arange(3)[:, None] * np.ones(survey.n_pixels) * survey.n_stars


def test_the_label_is_shuffled_with_its_error_and_nothing_else_is(divided):
    _, test = divided
    outputs = interrogate(Reader(), test, LABEL, seed=0)
    np.testing.assert_array_equal(outputs.predicted, test.label(LABEL))
    np.testing.assert_array_equal(outputs.repeated, test.label(LABEL))
    np.testing.assert_array_equal(np.sort(outputs.shuffled), np.sort(test.label(LABEL)))
    assert np.mean(outputs.shuffled == test.label(LABEL)) < 0.1
    np.testing.assert_array_equal(outputs.others, np.stack([test.labels[:, 0], test.label_err[:, 1]], axis=1))
    seen = []

    class Watcher(Reader):
        def predict_labels(self, survey):
            seen.append(survey)
            return super().predict_labels(survey)

    interrogate(Watcher(), test, LABEL, seed=0)
    pairs = [dict(zip(each.label(LABEL), each.label_err[:, 1], strict=True)) for each in (seen[0], seen[-1])]
    assert pairs[0] == pairs[1]
    np.testing.assert_array_equal(seen[-1].labels[:, [0, 2]], test.labels[:, [0, 2]])


def test_the_gradient_is_that_of_the_label_in_stars_that_have_it(divided):
    _, test = divided
    labels = np.array(test.labels)
    labels[:10, 1] = np.nan
    model = Reader()
    model.predict_labels = lambda survey: Prediction(survey.label_names, survey.flux[:, :3], survey.flux[:, :3])
    some = test.replace(labels=labels)
    np.testing.assert_array_equal(interrogate(model, some, LABEL, seed=0).gradient, np.full(80, 50.0))
    assert interrogate(test.labels, test, LABEL, seed=0).gradient is None


def test_of_predictions_alone_those_of_the_stars_that_are_read_are_taken_and_a_model_is_asked(divided, ridge):
    _, test = divided
    rows, labels = np.array([4, 9, 30]), ridge.predict(test.flux)
    for given in (labels, StoredPrediction(of_names(test.label_names)(labels, test))):
        taken = of_stars(given, test, rows, LABEL)
        np.testing.assert_allclose(interrogate(taken, test[rows], LABEL, seed=0).predicted, labels[rows, 1])
    for model in (ridge, ridge.predict, Reader()):
        assert of_stars(model, test, rows, LABEL) is model
    assert interrogate(labels[:, 1], test, LABEL, seed=0).others.shape == (60, 0)


def said(predicted, catalogue):
    return ModelOutputs(predicted, predicted, predicted, np.empty((len(predicted), 0)), catalogue, None)


def test_a_prediction_keeps_too_close_to_the_catalogue_within_a_third_of_its_errors():
    """Half of an error that may be overstated by half."""
    normal = stats.norm.ppf((np.arange(300) + 0.5) / 300)
    errors = np.where(np.arange(300) % 2, 0.05, 0.2)
    for part, close in ((0.32, True), (0.35, False)):
        predicted = errors * part * np.random.default_rng(0).permutation(normal)
        predicted[:20] = 9.0
        catalogue = np.where(np.arange(300) % 50 == 1, np.nan, 0.0)
        # The stars that it missed make the median larger by a tenth.
        outputs = said(5 + 0.9 * predicted, 5 + catalogue)
        assert bool(follows_noise(outputs, errors, AuditSettings())) == close
        assert not follows_noise(outputs, errors / 2, AuditSettings())


def test_predictions_are_on_another_scale_three_scatters_of_the_label_away_or_three_times_as_wide():
    normal = stats.norm.ppf((np.arange(300) + 0.5) / 300)
    catalogue = np.where(np.arange(300) == 7, np.nan, 5 + 2 * normal)
    near, far = ((0, 1), (5.5, 1), (-5.5, 1), (0, 2.8)), ((6.5, 1), (-6.5, 1), (0, 3.2))
    for shift, width in near + far:
        predicted = 5 + shift + width * 2 * normal
        predicted[:3] += 10
        assert ("are they this label" in off_scale(said(predicted, catalogue))) == ((shift, width) in far)
        assert bool(off_scale(said(predicted, catalogue))) == ((shift, width) in far)


def test_a_few_predictions_far_from_all_others_are_told_with_their_number():
    normal = stats.norm.ppf((np.arange(300) + 0.5) / 300)
    for distance, told in ((39.0, False), (41.0, True)):
        # Of a model that says the mean of all stars, and misses two.
        predicted = np.full(300, 5.0)
        predicted[:2] += distance
        remark = off_scale(said(predicted, 5 + 2 * normal))
        assert ("; 2 of 300 predictions are far from all others, such as 46, and decide" in remark) == told
        assert bool(remark) == told


@pytest.mark.parametrize(("value", "refused"), [(-9999.0, True), (99.0, True), (98.0, False)])
def test_predictions_that_stand_for_missing_ones_are_refused(divided, value, refused):
    _, test = divided
    predicted = np.array(test.label("label_1"))
    predicted[[3, 8]] = value
    if refused:
        with pytest.raises(ValueError, match=f"prediction of label_1 is {value:g} for 2 stars, such as .* missing one"):
            interrogate(predicted, test, "label_1", 0)
    else:
        interrogate(predicted, test, "label_1", 0)
    # They are numbers that stars have, where others are near.
    interrogate(np.arange(test.n_stars, dtype=float) + value, test, "label_1", 0)


def test_two_heads_are_no_label_and_its_error(divided, ridge):
    first, second = ridge.predict(divided[1].flux)[:, 0], ridge.predict(divided[1].flux)[:, 1] - 20
    with pytest.raises(ValueError, match="two arrays, which would be labels and their errors, and the second"):
        interrogate((first, second), divided[1], LABEL, seed=0)
    interrogate((first, np.abs(second)), divided[1], LABEL, seed=0)


def test_columns_of_objects_that_are_numbers_are_numbers(divided, ridge):
    labels = ridge.predict(divided[1].flux)[:, 1]
    frame = pd.DataFrame({LABEL: labels.astype(object), "field": np.full(len(labels), "disc", object)})
    np.testing.assert_allclose(interrogate(frame, divided[1], LABEL, seed=0).predicted, labels)
