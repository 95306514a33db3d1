"""What the guide shows runs as it stands there."""

import re
from pathlib import Path

import pytest
from sklearn.cross_decomposition import PLSRegression

import lux

PAGE = (Path(__file__).resolve().parents[1] / "book" / "audit_your_own.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def names():
    windows = [(15440, 15456), (15700, 15710), (16110, 16130), (16730, 16750)]
    survey = lux.load("synthetic", world="signal", n_stars=400, seed=40, wavelength_range=windows)
    train, test = survey.split(0.3)
    model = PLSRegression(10).fit(train.flux, train.labels)
    report = lux.audit(model, train, test, "eu_fe", own_lines=(15448.4, 16117.0, 16739.0))
    return {
        "lux": lux,
        "PLSRegression": PLSRegression,
        "survey": survey,
        "train": train,
        "test": test,
        "model": model,
        "report": report,
    }


@pytest.mark.parametrize("snippet", SNIPPETS, ids=lambda text: text.splitlines()[0].strip("# ."))
def test_a_snippet_of_the_guide_runs(snippet, names, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert snippet.count("\n") < 10
    exec(compile(snippet, "book/audit_your_own.md", "exec"), dict(names))


def test_the_guide_shows_how_to_do_the_first_days_tasks():
    assert len(SNIPPETS) >= 6
    assert PAGE.count("  - `") >= 6
