"""The whole paper, its chapters about one survey on the study's own data as the fixture archive has them.

It takes minutes.
"""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from built_paper import BUILD
from fixture_archive import ArchiveServer, FixtureArchive, make_fixture_survey

from lux.datasets.apogee_galah import make_survey_file
from lux.datasets.request import Request
from lux.store.files import cache_dir

ROOT = Path(__file__).parents[1]
SOURCES = ("book", "lux", "_config.yml", "_toc.yml", "pyproject.toml", "requirements.lock", "CITATION.cff")


def begins_with_the_data_set(path):
    return re.search(r"^chapter = begin\(\"\w+\", dataset, ", path.read_text(), re.MULTILINE) is not None


@pytest.mark.slow
def test_every_chapter_runs_on_the_stars_of_the_study(tmp_path, monkeypatch):
    for name in SOURCES:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    # What does not depend on the data set, such as the chapter of the controls, is read where the paper was just built.
    for name in ("store", "chapters/quick"):
        if (BUILD / name).is_dir():
            shutil.copytree(BUILD / name, tmp_path / "_build" / name)
    survey = make_fixture_survey(420)
    FixtureArchive(tmp_path / "archive", survey)
    cache = tmp_path / "cache"
    shutil.copytree(cache_dir(), cache, ignore=shutil.ignore_patterns("apogee-galah*", "store"))
    with ArchiveServer(tmp_path / "archive").running() as server:
        monkeypatch.setenv("LUX_CACHE", str(cache))
        for name, value in server.urls.items():
            monkeypatch.setenv(name, value)
        make_survey_file(Request(), progress=False)
        build = subprocess.run(
            [sys.executable, "book/build.py", "--dataset", "apogee-galah", "--profile", "quick", "--root", tmp_path],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=1700,
            check=False,
        )
    assert build.returncode == 0, build.stdout[-3000:] + build.stderr[-3000:]
    results = {path.stem: json.loads(path.read_text()) for path in (tmp_path / "_build" / "results").glob("*.json")}
    chapters = re.findall(r"^ *- file: book/(\d\w+)$", (tmp_path / "_toc.yml").read_text(), re.MULTILINE)
    assert len(chapters) > 7
    assert {*chapters, "audit_your_own", "audit_on_trial", "explore", "your_technique", "large_surveys"} == set(results)
    about_them = {name for name in results if begins_with_the_data_set(tmp_path / "book" / f"{name}.md")}
    assert len(about_them) > 7
    of = {name: result["parameters"]["dataset"] for name, result in results.items()}
    assert of == {name: "apogee-galah" if name in about_them else "synthetic" for name in results}
    assert (tmp_path / "_build" / "html" / "index.html").is_file()
