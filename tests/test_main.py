"""The command line: its options reach what they name, and an error is one line and the status 2."""

import gzip
import json
import re
import types

import numpy as np
import pytest
from astropy.table import Table

import lux
from lux.__main__ import _draw, main
from lux.auditing import audit


@pytest.fixture
def audited(surveys, tmp_path, monkeypatch):
    """Return a run of ``lux audit`` on a small survey, with the audit itself replaced by a note of its arguments."""
    surveys[0].save(tmp_path / "survey.h5")

    def run(*options):
        calls = []

        def report(label, train, test, own_lines, seed):
            calls.append((label, len(train), len(test), own_lines, seed))
            content = json.dumps({"label": label})
            return types.SimpleNamespace(label=label, evidence=(), to_json=lambda: content)

        def one(model, train, test, label, own_lines, *, seed, groups):
            return report(label, train, test, own_lines, seed)

        def several(model, train, test, *, seed, groups):
            return {label: report(label, train, test, None, seed) for label in train.label_names}

        monkeypatch.setattr(audit, "audit", one)
        monkeypatch.setattr(audit, "audit_all", several)
        return main(["audit", str(tmp_path / "survey.h5"), "--latents", "2", "--json", *options]), calls

    return run


def test_spectra_of_one_star_are_audited_as_one_from_the_command_line(audited, capsys):
    status, calls = audited("--label", "label_1", "--groups", "nobody")
    assert status != 0
    assert not calls
    assert "no column 'nobody'" in capsys.readouterr().err
    assert audited("--label", "label_1", "--groups", "group")[0] == 0


def test_one_label_is_audited_with_the_lines_and_the_split_that_are_named(audited, capsys):
    options = ["--label", "label_1", "--own-lines", "15200.5", "15300", "--test-fraction", "0.25", "--seed", "4"]
    status, calls = audited(*options)
    assert status == 0
    ((label, n_train, n_test, own_lines, seed),) = calls
    assert (label, own_lines, seed) == ("label_1", [15200.5, 15300.0], 4)
    assert n_test == round(0.25 * (n_train + n_test))
    assert json.loads(capsys.readouterr().out) == [{"label": "label_1"}]


def test_all_labels_are_audited_by_default(audited, surveys, capsys):
    assert [call[0] for call in audited()[1]] == list(surveys[0].label_names)
    assert [report["label"] for report in json.loads(capsys.readouterr().out)] == list(surveys[0].label_names)


def test_no_lines_are_not_the_default_lines(audited):
    assert audited("--label", "label_1")[1][0][3] is None
    assert audited("--label", "label_1", "--own-lines")[1][0][3] == []


def test_an_error_is_a_line_on_standard_error(tmp_path, capsys):
    assert main(["audit", str(tmp_path / "absent.h5")]) == 2
    assert capsys.readouterr().err == f"lux: no survey file at {tmp_path / 'absent.h5'}\n"


def test_a_misspelt_label_is_found_before_a_model_is_fitted(audited, monkeypatch, capsys):
    monkeypatch.setattr(lux.Lux, "fit", lambda *_: pytest.fail("a model was fitted"))
    assert audited("--label", "[Labl/1]") == (2, [])
    assert "unknown label '[Labl/1]'" in (said := capsys.readouterr().err)
    assert "did you mean 'label_1'?" in said


def test_lines_of_no_label_are_refused(audited, capsys):
    assert audited("--own-lines", "15200.5") == (2, [])
    assert "--label" in capsys.readouterr().err


def test_lines_of_a_list_are_those_of_the_label_and_found_before_a_model_is_fitted(audited, tmp_path, capsys):
    Table({"wavelength": [15110.4, 15140.2, 15120.0]}).write(tmp_path / "lines.ecsv")
    status, calls = audited("--label", "label_1", "--line-list", str(tmp_path / "lines.ecsv"))
    assert (status, calls[0][3]) == (0, (15110.4, 15120.0, 15140.2))
    for options, said in (
        (["--line-list", str(tmp_path / "lines.ecsv")], "name it with --label"),
        (["--label", "label_1", "--line-list", str(tmp_path / "absent")], "no list of lines at"),
        (["--label", "label_1", "--own-lines", "15110.4", "--line-list", "list"], "either --own-lines or --line-list"),
    ):
        assert audited(*options) == (2, [])
        assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--own-lines", "15200.5", "s.h5"], "'s.h5' is no wavelength in Angstrom; what is no option, such as the"),
        (["--seed", "-1"], "'-1' is no whole number from zero on"),
    ],
)
def test_options_in_the_wrong_place_or_range_are_told(audited, capsys, options, said):
    with pytest.raises(SystemExit, match="2"):
        audited("--label", "label_1", *options)
    assert said in capsys.readouterr().err


def test_a_page_of_a_label_in_brackets_gets_a_name_that_a_file_may_have(tmp_path, monkeypatch):
    drawn = types.SimpleNamespace(savefig=lambda path, **_: path.write_bytes(b"page"))
    monkeypatch.setattr("lux.figures.audit.page", lambda report: drawn)
    monkeypatch.setattr("matplotlib.pyplot.close", lambda figure: None)
    _draw([types.SimpleNamespace(label="[Eu/Fe]", evidence=(1,))], tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["audit-_Eu_Fe_.png"]


def test_a_command_is_needed(capsys):
    with pytest.raises(SystemExit):
        main([])
    assert "COMMAND" in capsys.readouterr().err


def test_the_command_line_fetches_and_shows_the_cuts(server, tmp_path, capsys):
    assert main(["fetch", "apogee-galah", "--stars", "12", "--cache", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "12 of the 12 stars asked for" in printed
    assert "no member of a globular cluster" in printed
    server.faults.always("GALAH_DR3/GALAH_DR3_main_allstar_v2.fits", 404)
    assert main(["fetch", "apogee-galah", "--stars", "12", "--cache", str(tmp_path / "other")]) == 2
    assert "could not be fetched" in capsys.readouterr().err


@pytest.fixture
def catalogue(surveys, tmp_path):
    """Return a survey's file, and a catalogue in another order that lacks some stars, as CSV with ids of 64 bits."""
    ids = 5853498713190525696 + np.arange(len(surveys[0]))
    survey = surveys[0].replace(star_id=ids.astype(str))
    survey.save(tmp_path / "stars.h5")
    rows = np.random.default_rng(0).permutation(len(survey))[:-5]
    errors = {f"e_{name}": survey.label_err[rows, place] for place, name in enumerate(survey.label_names)}
    labels = {name: 2 * survey.label(name)[rows] for name in survey.label_names}
    Table({"source_id": ids[rows], **labels, **errors}).write(tmp_path / "catalogue.csv")
    return survey, rows, tmp_path


def test_labels_of_a_catalogue_take_the_place_of_those_of_the_survey(catalogue):
    survey, rows, folder = catalogue
    joined = survey.with_labels(Table.read(folder / "catalogue.csv"), star_id="source_id")
    assert joined.star_id.tolist() == survey.star_id[np.sort(rows)].tolist()
    np.testing.assert_allclose(joined.labels, 2 * survey.labels[np.sort(rows)])
    np.testing.assert_array_equal(joined.ivar, survey.ivar[np.sort(rows)])
    table = Table.read(folder / "catalogue.csv")
    table["label_0"] = np.arange(len(table)).astype(str)
    with pytest.raises(ValueError, match="no star of the survey is in the column 'label_0'"):
        survey.with_labels(table, ["label_1"], star_id="label_0")
    table["source_id"] = table["source_id"].astype(float)
    with pytest.raises(ValueError, match="ids of 64 bits lose digits"):
        survey.with_labels(table, star_id="source_id")
    with pytest.raises(ValueError, match=r"names 5.* twice"):
        survey.with_labels(Table.read(folder / "catalogue.csv")[[0, 0, 1]], star_id="source_id")


def test_predictions_and_a_catalogue_are_audited_from_the_command_line(catalogue, monkeypatch, capsys):
    survey, rows, folder = catalogue
    some = rows[:40]
    Table({"source_id": survey.star_id[some], "label_1": survey.truth.labels[some, 1]}).write(folder / "p.fits")
    monkeypatch.setattr(lux.Lux, "fit", lambda *_: pytest.fail("a model was fitted"))
    command = ["audit", str(folder / "stars.h5"), "--label", "Label 1", "--own-lines", "--id", "source_id"]
    command += ["--labels", str(folder / "catalogue.csv"), "--predictions", str(folder / "p.fits")]
    assert main([*command, "--markdown", "--html", str(folder / "pages")]) == 0
    assert capsys.readouterr().out.startswith("## label_1: ")
    assert "<h1>label_1: " in (folder / "pages" / "audit-label_1.html").read_text()
    assert main([*command, "--id", "star_id"]) == 2
    assert "no column 'star_id'" in capsys.readouterr().err
    assert main(["audit", str(folder / "stars.h5"), "--predictions", str(folder / "absent.csv")]) == 2
    assert "no table at" in capsys.readouterr().err
    assert main(["audit", str(folder / "stars.h5"), "--predictions", str(folder / "stars.h5")]) == 2
    assert "cannot be read as a table" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*command, "--label", "label_0"])
    assert "--label is given twice" in capsys.readouterr().err


def test_predictions_of_no_star_of_the_survey_are_counted(catalogue, capsys):
    survey, _, folder = catalogue
    label = survey.truth.labels[:40, 1]
    Table({"star_id": [*survey.star_id[:38], "7", "8"], "label_1": label}).write(folder / "p.csv")
    command = ["audit", str(folder / "stars.h5"), "--label", "label_1", "--own-lines", "--predictions"]
    assert main([*command, str(folder / "p.csv"), "--json"]) == 0
    told = capsys.readouterr()
    assert "2 of 40 predictions are of no star of the survey" in told.err
    assert json.loads(told.out)[0]["n_test"] <= 38


def test_predictions_are_joined_by_the_column_that_is_named_beside_a_star_id_of_another_kind(catalogue, capsys):
    survey, _, folder = catalogue
    label = survey.truth.labels[:40, 1]
    Table({"source_id": survey.star_id[:40], "star_id": np.arange(40), "label_1": label}).write(folder / "p.csv")
    command = ["audit", str(folder / "stars.h5"), "--label", "label_1", "--own-lines", "--json"]
    assert main([*command, "--predictions", str(folder / "p.csv"), "--id", "source_id"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["n_test"] == np.sum(~np.isnan(survey.label("label_1")[:40]))


@pytest.fixture
def predicted(catalogue):
    """Return a run of ``lux audit`` on predictions of forty stars, given as the text of their table."""
    survey, _, folder = catalogue
    names, values = survey.star_id[:40].tolist(), survey.truth.labels[:40, 1].tolist()

    def run(written=lambda text: text.encode(), cell=None, ending="csv"):
        texts = [repr(value) for value in values[:-1]] + [repr(values[-1]) if cell is None else cell]
        lines = ["star_id,label_1", *map(",".join, zip(names, texts, strict=True))]
        (folder / f"p.{ending}").write_bytes(written("\n".join(lines)))
        command = ["audit", str(folder / "stars.h5"), "--label", "label_1", "--own-lines", "--json"]
        return main([*command, "--predictions", str(folder / f"p.{ending}")])

    return run


SPREADSHEETS = {
    "mark": lambda text: text.encode("utf-8-sig"),
    "semicolons": lambda text: text.replace(",", ";").encode(),
    "both": lambda text: text.replace(",", ";").encode("utf-8-sig"),
}


@pytest.mark.parametrize("spreadsheet", SPREADSHEETS)
def test_a_table_is_read_as_spreadsheets_write_it(predicted, capsys, spreadsheet):
    assert predicted() == 0
    plain = capsys.readouterr().out
    assert predicted(SPREADSHEETS[spreadsheet]) == 0
    assert capsys.readouterr().out == plain


def test_a_table_is_read_with_tabs_or_compressed_and_one_that_was_cut_is_refused(predicted, capsys):
    assert predicted() == 0
    plain = capsys.readouterr().out
    assert predicted(lambda text: text.replace(",", "\t").encode(), ending="tsv") == 0
    assert capsys.readouterr().out == plain
    assert predicted(lambda text: gzip.compress(text.encode()), ending="csv.gz") == 0
    told = capsys.readouterr()
    assert told.out == plain
    assert "the last line of" in told.err
    assert predicted(lambda text: gzip.compress(text.encode())[:-20], ending="csv.gz") == 2
    assert "p.csv.gz cannot be read as a table: Compressed file ended" in capsys.readouterr().err


def test_a_table_that_may_have_been_cut_is_asked_about_and_the_stars_that_it_lacks_are_counted(predicted, capsys):
    assert predicted() == 0
    told = capsys.readouterr().err
    assert "the last line of" in told
    assert re.search(r"lux: 40 stars have a prediction and are tested; the other \d+ are for training", told)
    assert predicted(lambda text: f"{text}\n".encode()) == 0
    assert "the last line of" not in capsys.readouterr().err


def test_a_decimal_comma_is_refused(predicted, capsys):
    assert predicted(lambda text: text.replace(",", ";").replace(".", ",").encode()) == 2
    assert "in its column 'label_1': write numbers with a decimal point, not a comma" in capsys.readouterr().err


def test_text_among_predicted_numbers_is_missing_or_named_with_its_column(predicted, capsys):
    assert predicted(cell="N/A") == 2
    assert "prediction of label_1 for star 5853498713190525735 is not finite" in capsys.readouterr().err
    assert predicted(cell="bad") == 2
    told = capsys.readouterr().err
    assert "lux: column 'label_1' of" in told
    assert "'bad'" in told


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--predictions", "p.csv", "--test-fraction", "0.2"], "--test-fraction divides nothing here: the 40 stars"),
        (["--predictions", "p.csv", "--latents", "5"], "--latents is of a model that is fitted"),
        (["--id", "gaia"], "--id is a column of the table of --labels or --predictions"),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(catalogue, monkeypatch, capsys, options, message):
    survey, _, folder = catalogue
    monkeypatch.chdir(folder)
    monkeypatch.setattr(lux.Lux, "fit", lambda *_: pytest.fail("a model was fitted"))
    Table({"star_id": survey.star_id[:40], "label_1": survey.truth.labels[:40, 1]}).write("p.csv")
    assert main(["audit", "stars.h5", "--label", "label_1", *options]) == 2
    assert message in capsys.readouterr().err


def test_ids_of_a_table_of_text_keep_their_zeros(catalogue, capsys):
    survey, _, folder = catalogue
    named = survey.replace(star_id=[f"{number:05d}" for number in range(len(survey))])
    named.save(folder / "named.h5")
    _, test = named.split(0.3)
    Table({"star_id": test.star_id, "label_1": test.truth.labels[:, 1]}).write(folder / "named.csv")
    command = ["audit", str(folder / "named.h5"), "--label", "label_1", "--own-lines", "--json"]
    assert main([*command, "--predictions", str(folder / "named.csv")]) == 0
    assert json.loads(capsys.readouterr().out)[0]["n_test"] == np.sum(~np.isnan(test.label("label_1")))
    table = Table({"id": np.arange(len(named)), "label_0": np.ones(len(named)), "e_label_0": np.ones(len(named))})
    with pytest.raises(ValueError, match="lost their leading zeros; read them as text"):
        named.with_labels(table, star_id="id")
    some = named.replace(star_id=[f"{number:03d}" for number in range(len(named))])
    with pytest.raises(ValueError, match="lacks 001, but it has that without its zeros"):
        some.with_labels(table, star_id="id")
