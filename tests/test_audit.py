"""The audit tells knowledge, proxies, guesses and leaks apart, and says so when it cannot."""

import json

import numpy as np
import other_spectra
import pytest
from sklearn.decomposition import PCA
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import lux
from lux.__main__ import main
from lux.auditing import AuditSettings, Kind, audit_models, default_lines, measurements
from lux.auditing.audit import _holm, audit_told_and_blind
from lux.models import baselines
from lux.models.cannon import Cannon
from lux.models.prediction import StoredPrediction
from lux.simulation.synthetic import make_survey

WINDOWS = [(15400, 15500), (15680, 15700), (16070, 16160), (16470, 16540), (16560, 16600), (16690, 16830)]
OPTIONS = {"n_stars": 1200, "seed": 11, "star_seed": 2, "wavelength_range": WINDOWS}
EXPECTED = {"shortcut": "guessed", "signal": "known", "proxy": "proxy", "leak": "leaked", "decorrelated": "guessed"} | {
    "artefact": "artefact"
}


def world(name, **options):
    return lux.load("synthetic", world=lux.World(name, **options), **OPTIONS).split(0.3)


@pytest.fixture(scope="module")
def shortcut():
    train, test = world("shortcut")
    return lux.Lux(10).fit(train), train, test


@pytest.mark.parametrize(("name", "expected"), EXPECTED.items())
def test_each_world_gets_its_verdict(name, expected):
    train, test = world(name)
    report = lux.audit(baselines.FluxRegression.pls(8).fit(train), train, test, "eu_fe")
    assert report.verdict == expected, str(report)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("planted", "named", "expected"),
    [
        ("nothing", True, "guessed"),
        ("nothing", False, "guessed"),
        ("lines", True, "known"),
        ("lines", False, "proxy"),
        ("noise", False, "leaked"),
    ],
)
def test_verdicts_hold_on_spectra_of_another_generator(planted, named, expected):
    for seed in (1, 2):
        survey, places = other_spectra.make(planted, seed)
        train, test = survey.split(0.3)
        report = lux.audit(baselines.Mean().fit(train), train, test, "eu_fe", places if named else ())
        assert report.verdict == expected, str(report)


def test_told_and_blind_together_are_what_they_are_alone():
    train, test = world("signal")
    model = baselines.FluxRegression.pls(8).fit(train)
    lines = train.truth.world["wavelengths"]
    alone = [lux.audit(model, train, test, "eu_fe", each, seed=3).to_json() for each in (lines, ())]
    together = audit_told_and_blind(model, train, test, "eu_fe", lines, seed=3)
    assert [report.to_json() for report in together] == alone
    assert alone[0] != alone[1]


def test_any_model_that_predicts_labels_can_be_audited_alone_or_beside_others():
    train, test = world("signal")
    models = {"perceptron": Perceptron(), "Cannon": Cannon(), "mean": baselines.Mean()}
    models = {name: model.fit(train) for name, model in models.items()}
    reports = audit_models(models, train, test, "eu_fe")
    assert {report.verdict for report in reports.values()} == {"known"}
    assert {name for name, report in reports.items() if report.model_use.answer == "yes"} == {"perceptron", "Cannon"}
    stored = StoredPrediction(models["mean"].predict_labels(test))
    assert str(lux.audit(stored, train, test, "eu_fe")) == str(reports["mean"])
    with pytest.raises(ValueError, match="the survey has 840 stars, the prediction 360"):
        stored.predict_labels(train)


class Perceptron:
    """A small neural network on principal components of the flux."""

    def fit(self, survey):
        self.names = survey.label_names
        self.center, self.scale = survey.labels.mean(axis=0), survey.labels.std(axis=0)
        network = MLPRegressor(hidden_layer_sizes=(64,), alpha=1.0, solver="lbfgs", max_iter=200, random_state=0)
        self.pipeline = make_pipeline(StandardScaler(), PCA(40, random_state=0), StandardScaler(), network)
        self.pipeline.fit(survey.flux, (survey.labels - self.center) / self.scale)
        return self

    def predict_labels(self, survey):
        labels = self.center + self.scale * self.pipeline.predict(survey.flux)
        return lux.Prediction(self.names, labels, np.zeros_like(labels))


def test_a_line_of_half_a_per_cent_is_known_though_the_model_does_not_use_it():
    train, test = world("signal", depth=0.005)
    model = lux.Lux(10).fit(train)
    report = lux.audit(model, train, test, "eu_fe")
    assert report.verdict == "known"
    assert report[Kind.OWN_LINES].statistic > 5
    assert not report[Kind.MODEL_USE].significant
    assert report.model_use.answer == "no"
    blind = lux.audit(model, train, test, "eu_fe", own_lines=())
    assert blind.verdict in ("guessed", "proxy")


def test_a_model_that_reads_the_test_labels_is_caught(shortcut):
    model, train, test = shortcut

    class Cheat:
        """Predicts with a little of the catalogue's own label."""

        def predict_labels(self, survey):
            honest = model.predict_labels(survey)
            return lux.Prediction(honest.names, 0.9 * honest.labels + 0.1 * survey.labels, honest.err)

    report = lux.audit(Cheat(), train, test, "eu_fe")
    assert report.verdict == "leaked"
    assert report[Kind.LABEL_CANARY].statistic > 0.01


def test_labels_with_many_lines_are_known(shortcut):
    model, train, test = shortcut
    for label in ("teff", "fe_h", "alpha_fe"):
        assert lux.audit(model, train, test, label).verdict == "known"


@pytest.mark.parametrize(("planted", "factor"), [("noise", 1.0), ("lines", 1.15)])
@pytest.mark.parametrize("named", [True, False])
def test_a_leak_of_errors_that_are_alike_and_their_being_overstated_are_told_as_one(planted, factor, named):
    survey, places = other_spectra.make(planted, 3, alike=True)
    train, test = survey.replace(label_err=survey.label_err * factor).split(0.3)
    report = lux.audit(baselines.Mean().fit(train), train, test, "eu_fe", places if named else ())
    assert report.verdict == ("known" if named else "undecided"), str(report)
    assert "they are overstated, or they leak" in report.reason
    assert np.isinf(report[Kind.LEAK_GROWTH].needed)


def test_errors_that_the_catalogue_overstates_are_no_leak(shortcut):
    model, *surveys = shortcut
    factor = np.where(np.arange(5) == 3, 4, 1)
    overstated = [survey.replace(label_err=survey.label_err * factor) for survey in surveys]
    assert lux.audit(model, *overstated, "alpha_fe").verdict == "known"


def test_one_star_neither_makes_nor_hides_a_line():
    train, test = world("signal", depth=0.01)
    before = lux.audit(baselines.Mean().fit(train), train, test, "eu_fe")[Kind.OWN_LINES].statistic
    _, near = measurements.locate(train.wavelength, default_lines(train, "eu_fe"))
    flux, labels = np.array(train.flux), np.array(train.labels)
    flux[0, near] = 0.2
    for value in (2.0, -2.0):
        labels[0, 4] = value
        odd = train.replace(flux=flux, labels=labels)
        after = lux.audit(baselines.Mean().fit(odd), odd, test, "eu_fe")[Kind.OWN_LINES].statistic
        assert after == pytest.approx(before, rel=0.3)


def test_too_little_data_is_undecided(shortcut):
    model, train, test = shortcut
    report = lux.audit(model, train, test[:19], "eu_fe")
    assert report.verdict == "undecided"
    assert "19 test stars" in report.reason
    noisy = [part.replace(label_err=part.label_err * np.where(np.arange(5) == 4, 30, 1)) for part in (train, test)]
    report = lux.audit(model, *noisy, "eu_fe")
    assert report.verdict == "undecided"


def test_what_cannot_be_audited_is_refused(shortcut):
    model, train, test = shortcut
    constant, missing = np.array(test.labels), np.array(test.labels)
    constant[:, 4], missing[:, 4] = 0.1, np.nan
    for changed, label, lines, message in (
        (test.replace(labels=constant), "eu_fe", None, "no variance"),
        (test.replace(labels=missing), "eu_fe", None, "missing in every star"),
        (test, "eu_fe", (14000.0,), r"own line 14000.00 A is not on the survey's grid"),
        (test, "eu_fe", (16250.0,), r"own line 16250.00 A is not on the survey's grid"),
        (test, "gold", None, "unknown label 'gold'"),
        (test.select_pixels(np.arange(test.n_pixels) > 3), "eu_fe", None, "different wavelength grids"),
    ):
        with pytest.raises(ValueError, match=message):
            lux.audit(model, train, changed, label, lines)


def test_errors_that_depend_on_the_star_make_no_leak_of_knowledge_and_no_knowledge_of_nothing():
    verdicts = []
    for coupled in (1.0, -1.0):
        for planted in ("nothing", "lines"):
            survey, places = other_spectra.make(planted, 4, coupled=coupled)
            train, test = survey.split(0.3)
            report = lux.audit(baselines.Mean().fit(train), train, test, "eu_fe", places)
            verdicts.append((planted, report.verdict))
    assert all(verdict == "known" for planted, verdict in verdicts if planted == "lines")
    assert all(verdict in ("guessed", "undecided") for planted, verdict in verdicts if planted == "nothing")


def test_names_are_read_as_catalogues_write_them_and_lines_off_the_list_must_be_named():
    survey, places = other_spectra.make("lines", 2)
    train, test = (
        part.replace(label_names=("TEFF", "LOGG", "FE_H", "[alpha/Fe]", "EU_FE")) for part in survey.split(0.3)
    )
    model = baselines.Mean().fit(train)
    assert lux.audit(model, train, test, "EU_FE").verdict == "proxy"
    assert lux.audit(model, train, test, "EU_FE", places).verdict == "known"
    optical = [part.replace(wavelength=part.wavelength - 9000) for part in (train, test)]
    with pytest.raises(ValueError, match="give the lines of EU_FE as own_lines"):
        lux.audit(baselines.Mean().fit(optical[0]), *optical, "EU_FE")
    reports = lux.audit_all(baselines.Mean().fit(optical[0]), *optical)
    assert reports["EU_FE"].verdict == "undecided"
    assert "line list covers" in reports["EU_FE"].reason


@pytest.mark.slow
def test_an_empty_label_beside_the_audited_one_does_no_harm(shortcut):
    _, train, test = shortcut
    empty = [part.replace(labels=np.where(np.arange(5) == 1, np.nan, part.labels)) for part in (train, test)]
    model = baselines.Mean().fit(train)
    assert lux.audit(model, *empty, "eu_fe").verdict == "guessed"
    assert lux.audit_all(model, *empty)["logg"].verdict == "undecided"


def test_the_canary_reacts_to_the_audited_label_alone_and_to_no_chance(shortcut):
    _, train, test = shortcut

    class Model:
        """Passes the catalogue's temperature through, and is a little random."""

        def __init__(self, level):
            self.level, self.generator = level, np.random.default_rng(0)

        def predict_labels(self, survey):
            labels = np.tile(np.nanmean(train.labels, axis=0), (survey.n_stars, 1))
            labels[:, 0] = survey.labels[:, 0]
            labels[:, 1:] += self.level * self.generator.normal(size=(survey.n_stars, 4))
            return lux.Prediction(survey.label_names, labels, np.zeros_like(labels))

    assert lux.audit(Model(0.01), train, test, "eu_fe").verdict == "guessed"
    assert lux.audit(Model(0.01), train, test, "teff").verdict == "leaked"
    with pytest.raises(ValueError, match="prediction of eu_fe for star synthetic"):
        lux.audit(Model(np.nan), train, test, "eu_fe")


def test_the_command_line_audits_a_saved_survey_and_draws_a_page(shortcut, tmp_path, capsys):
    shortcut[1].save(tmp_path / "survey.h5")
    command = ["audit", str(tmp_path / "survey.h5"), "--label", "eu_fe", "--latents", "8", "--json"]
    assert main([*command, "--figures", str(tmp_path / "pages")]) == 0
    assert (tmp_path / "pages" / "audit-eu_fe.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads(capsys.readouterr().out)[0]["label"] == "eu_fe"
    assert main(["audit", str(tmp_path / "absent.h5")]) == 2
    assert "no survey file" in capsys.readouterr().err


def test_settings_change_what_is_measured_and_are_reported(shortcut):
    model, train, test = shortcut
    settings = AuditSettings(min_stars=train.n_stars + test.n_stars + 1)
    report = lux.audit(model, train, test, "eu_fe", settings=settings)
    assert (report.verdict, report.stars_needed, report.settings) == ("undecided", settings.min_stars, settings)


def test_of_a_catalogue_of_labels_at_most_one_in_twenty_has_a_false_verdict():
    """Twenty labels without information, each of which alone is called something in five per cent of surveys."""
    chances = np.random.default_rng(0).uniform(0, 20, (4000, 20))
    families = [{str(place): chance for place, chance in enumerate(row) if chance < 1} for row in chances]
    kept = [len(family) > len(_holm(family, 20)) for family in families]
    assert np.mean([len(family) > 0 for family in families]) > 0.6
    assert 0.035 < np.mean(kept) < 0.06
    assert _holm({"iron": 1e-30, "calcium": 1e-9, "europium": 0.7}, 20) == {"europium": 1 / 18}
    assert _holm({"iron": 1e-30}, 1) == {}


def test_a_label_that_passes_only_by_itself_is_audited_with_the_share_of_many(monkeypatch, shortcut):
    _, *parts = shortcut
    train, test = (each.select_pixels(each.wavelength < parts[0].wavelength[0] + 40) for each in parts)
    monkeypatch.setattr("lux.auditing.audit._chance", lambda report: 0.9 if report.label == "eu_fe" else 1e-9)
    reports = lux.audit_all(np.array(test.labels), train, test)
    assert reports["eu_fe"].settings.significance == pytest.approx(0.005)
    monkeypatch.setattr("lux.auditing.audit._chance", lambda report: 0.9)
    assert lux.audit_all(np.array(test.labels), train, test)["teff"].settings.significance == pytest.approx(0.001)


def test_lines_of_labels_are_given_to_the_audit_of_all_by_name(shortcut):
    _, *parts = shortcut
    train, test = (each.select_pixels(each.wavelength < parts[0].wavelength[0] + 40) for each in parts)
    train, test = (each.replace(truth=None).select_labels(["eu_fe", "fe_h"]) for each in (train, test))
    line = float(train.wavelength[40])
    reports = lux.audit_all(np.array(test.labels), train, test, {"[Eu/Fe]": [line]})
    assert reports["eu_fe"].own_lines == (line,)
    with pytest.raises(ValueError, match="names a label twice, in two spellings"):
        lux.audit_all(np.array(test.labels), train, test, {"[Eu/Fe]": [line], "eu_fe": [line]})
    wide = lux.audit_all(np.array(test.labels), train, test, resolution=1e3)["eu_fe"]
    assert "a resolving power of 1000 makes 2.6 resolution elements" in wide.reason
    with pytest.raises(ValueError, match=r"own_lines are those of labels by name, .*got list"):
        lux.audit_all(np.array(test.labels), train, test, [line])


@pytest.mark.slow
def test_of_an_opened_survey_as_many_stars_are_read_as_are_asked_for(tmp_path):
    survey = make_survey(500, 7, lux.World("signal", depth=0.01))
    labels = np.array(survey.labels)
    labels[::50, survey.label_index("eu_fe")] = np.nan
    survey = survey.replace(labels=labels).select_pixels(survey.wavelength < 15700)
    survey.save(tmp_path / "survey.h5", compress=False)
    (train, test), (train_whole, test_whole) = (
        opened.split(0.3) for opened in (lux.open(tmp_path / "survey.h5"), survey)
    )
    model = baselines.Mean().fit(train_whole)
    whole = lux.audit(model, train, test, "eu_fe")
    assert whole.to_json() == lux.audit(model, train_whole, test_whole, "eu_fe").to_json()
    few = AuditSettings(max_opened_stars=300)
    report = lux.audit(model, train, test, "eu_fe", settings=few)
    assert "of 490 stars with the label 300 were read, chosen at random" in report.reason
    alone = lux.audit(model.predict_labels(test).label("eu_fe"), train, test, "eu_fe", settings=few)
    assert alone.evidence[0] == report.evidence[0]
