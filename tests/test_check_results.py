"""The gate of the results: it knows what a number means, and no reference can be stale without a word."""

import copy
import json

import check_results
import numpy as np
import pytest

from lux.paper.record import Record
from lux.statistics import Estimate


def results(folder, change=lambda record: None, **numbers):
    """Return the results of a chapter as a record writes them: one number of each kind, `numbers` in place of some."""
    value = {"rmse": 0.107, "slope": 0.713, "power": 0.42, "depth": 12.345, "noise": 2.6e-6, **numbers}
    record = Record("03_test", parameters={"seed": 0}, folder=folder)
    record("verdict", "guessed")
    record("stars", 4000)
    record("rmse", value["rmse"], unit="dex", uncertainty=0.004)
    record("slope", value["slope"], interval=(value["slope"] - 0.06, value["slope"] + 0.06))
    record("power", value["power"], sampling_error=0.05)
    record("depth", value["depth"], unit="%")
    record("noise", value["noise"], bound=1e-5)
    cells = [Estimate(value["slope"], value["slope"] - 0.06, value["slope"] + 0.06)]
    record.table("scores", {"label": ["fe_h"], "area": cells, "depth": [value["depth"]]}, formats={"depth": ".2f"})
    change(record)
    record.provenance()
    return json.loads((folder / "results.json").read_text())


@pytest.fixture
def reference(tmp_path):
    return results(tmp_path / "reference")


@pytest.mark.parametrize(("name", "error"), [("rmse", 0.004), ("slope", 0.06), ("power", 0.05)])
def test_a_measured_number_may_move_by_a_small_fraction_of_its_error(reference, tmp_path, name, error):
    before = {"rmse": 0.107, "slope": 0.713, "power": 0.42}[name]
    near = check_results.compare(reference, results(tmp_path / "near", **{name: before + 0.01 * error}))
    far = check_results.compare(reference, results(tmp_path / "far", **{name: before + 0.5 * error}))
    assert not near.beyond
    assert any(line.startswith(f"{name}: ") for line in far.beyond)


def test_an_exact_number_keeps_its_printed_digits(reference, tmp_path):
    near = check_results.compare(reference, results(tmp_path / "near", depth=12.342))
    assert not near.beyond
    assert near.within == ["scores: depth[0]: 12.35 -> 12.34"]
    far = check_results.compare(reference, results(tmp_path / "far", depth=12.41))
    assert [line.split(":")[0] for line in far.beyond] == ["depth", "scores"]


def test_rounding_noise_is_recorded_as_its_bound_and_a_higher_one_is_beyond(reference, tmp_path):
    assert reference["results"]["noise"]["text"] == "less than 10⁻⁵"
    other = check_results.compare(reference, results(tmp_path / "other", noise=7e-6))
    assert not other.beyond + other.within
    large = check_results.compare(reference, results(tmp_path / "large", noise=2e-5))
    assert large.beyond == ["noise: less than 10⁻⁵ -> less than 10⁻⁴"]


@pytest.mark.parametrize(
    "change",
    [
        lambda fresh: fresh["results"].pop("rmse"),
        lambda fresh: fresh["results"].update(extra={"value": 1, "unit": "", "kind": "claim"}),
        lambda fresh: fresh["results"]["verdict"].update(value="known"),
        lambda fresh: fresh["results"]["stars"].update(value=4001),
        lambda fresh: fresh["results"]["rmse"].update(unit="K"),
        lambda fresh: fresh["results"]["rmse"].update(uncertainty=0.006),
        lambda fresh: fresh["results"]["slope"].update(interval=[0.5, 0.773]),
        lambda fresh: fresh["tables"]["scores"].update(label=["eu_fe"]),
        lambda fresh: fresh["tables"]["scores"]["area"][0].update(value=0.75),
        lambda fresh: fresh["tables"]["scores"].update(depth=[12.36]),
        lambda fresh: fresh["tables"]["scores"].pop("depth"),
        lambda fresh: fresh["tables"].pop("scores"),
        lambda fresh: fresh["figures"].update(headline={"alt": "A figure."}),
        lambda fresh: fresh["parameters"].update(seed=1),
    ],
)
def test_whatever_else_changes_is_beyond(reference, change):
    fresh = copy.deepcopy(reference)
    change(fresh)
    assert len(check_results.compare(reference, fresh).beyond) == 1
    assert not check_results.compare(reference, copy.deepcopy(reference)).beyond


def test_a_number_in_a_text_may_be_rounded_otherwise_and_nothing_else_may_change(reference):
    for old, new, same in (
        ("0.71 of 4000", "0.72 of 4000", True),
        ("0.71 of 4000", "0.73 of 4000", False),
        ("0.71 of 4000", "0.71 of 4001", False),
        ("z3 (0.51)", "z4 (0.51)", False),
        ("0.71", "0.712", False),
    ):
        before, after = copy.deepcopy(reference), copy.deepcopy(reference)
        before["results"]["verdict"]["value"], after["results"]["verdict"]["value"] = old, new
        assert bool(check_results.compare(before, after).beyond) is not same


def test_infinite_values_are_compared_as_they_are(tmp_path):
    def infinite(record):
        record("bound", np.inf, unit="dex", interval=(1.0, np.inf))

    old, new = (results(tmp_path / name, infinite) for name in ("old", "new"))
    assert not check_results.compare(old, new).beyond
    new["results"]["bound"]["interval"] = [2.0, "inf"]
    assert len(check_results.compare(old, new).beyond) == 1


@pytest.fixture
def repository(tmp_path):
    """A repository with a build of one chapter, accepted as the paper's and the quick profile's reference."""
    built = tmp_path / "_build" / "results"
    built.mkdir(parents=True)
    content = results(tmp_path / "products")
    for variant in ("synthetic-paper", "synthetic-quick"):
        (built / "variant.txt").write_text(variant + "\n")
        (built / "03_test.json").write_text(json.dumps(content))
        assert check_results.main(["--accept", "--root", str(tmp_path)]) == 0
    return tmp_path


def test_a_reference_has_the_seconds_of_chapters_whatever_their_data_set(repository):
    for folder, name, seconds in (
        ("synthetic-quick", "03_test", 2.5),
        ("quick", "08_all", 9.5),
        ("x-quick", "no", 1.0),
    ):
        chapter = repository / "_build" / "chapters" / folder / name
        chapter.mkdir(parents=True)
        (chapter / "stamp.json").write_text(json.dumps({"seconds": seconds}))
    assert check_results.main(["--accept", "--root", str(repository)]) == 0
    origin = json.loads((repository / "results" / "origin.json").read_text())
    assert origin["synthetic-quick"]["seconds"] == {"03_test": 2.5, "08_all": 9.5}
    # A later build reads what was computed for this one; from nothing it would take as long again.
    for stamp, seconds in (("synthetic-quick/03_test", 4.5), ("quick/08_all", 0.5)):
        (repository / "_build" / "chapters" / stamp / "stamp.json").write_text(json.dumps({"seconds": seconds}))
    assert check_results.main(["--accept", "--root", str(repository)]) == 0
    origin = json.loads((repository / "results" / "origin.json").read_text())
    assert origin["synthetic-quick"]["seconds"] == {"03_test": 4.5, "08_all": 9.5}


def rewrite(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_an_accepted_build_passes_and_says_what_its_reference_was_made_by(repository, capsys):
    capsys.readouterr()
    assert check_results.main(["--root", str(repository)]) == 0
    printed = capsys.readouterr().out
    assert "0 moved beyond" in printed
    assert "made at commit unknown on " in printed


def test_a_key_that_another_profile_lacks_makes_its_reference_stale_and_fails(repository, capsys):
    for path in (
        repository / "_build" / "results" / "03_test.json",
        repository / "results/synthetic-quick/03_test.json",
    ):
        rewrite(path, lambda content: content["results"].update(extra={"value": 1, "unit": "", "kind": "claim"}))
    assert check_results.main(["--root", str(repository)]) == 1
    assert "the synthetic-paper reference is stale: extra: new" in capsys.readouterr().out


def test_a_page_without_a_number_is_compared_as_well(repository, capsys):
    for folder in (repository / "_build" / "results", repository / "results/synthetic-quick"):
        (folder / "guide.json").write_bytes((folder / "03_test.json").read_bytes())
    assert check_results.main(["--root", str(repository)]) == 0
    assert "2 chapters against" in capsys.readouterr().out
    rewrite(folder / "guide.json", lambda content: content["results"].popitem())
    assert check_results.main(["--root", str(repository)]) == 1


def test_a_chapter_without_reference_or_without_results_fails(repository, capsys):
    (repository / "results" / "synthetic-quick" / "03_test.json").rename(
        repository / "results" / "synthetic-quick" / "04_other.json"
    )
    assert check_results.main(["--root", str(repository)]) == 1
    printed = capsys.readouterr().out
    assert "03_test.json: no reference" in printed
    assert "04_other.json: has a reference but is not in this build" in printed


def test_without_a_build_there_is_nothing_to_compare(tmp_path, capsys):
    assert check_results.main(["--root", str(tmp_path)]) == 1
    assert "run make paper first" in capsys.readouterr().err
