"""Spectra to explore and bars that follow sliders: by pointer and keyboard, wide and narrow, and without a script."""

import json
import re
from pathlib import Path

import nbformat
import numpy as np
import pytest
from built_paper import SITE
from lux_pages import explore
from machinery import report
from machinery.figures import finish, passport
from machinery.stage import what_it_does

from lux.simulation.population import disc_moments
from lux.simulation.worlds import World
from lux.spectroscopy.instrument import wavelength_grid
from lux.store.dependencies import Package

ROOT = Path(__file__).resolve().parents[1]
PAGES = SITE / "book"
MOST_BYTES = 1_000_000


def test_runs_hold_what_is_not_masked_in_whole_units():
    wavelength = wavelength_grid()[100:106]
    found = explore._series(wavelength, np.array([0.5, 0.25, np.nan, 1.0, 0.1254, np.nan]), 0.001)
    assert found == {
        "unit": 0.001,
        "runs": [{"first": 100, "values": [500, 250]}, {"first": 103, "values": [1000, 125]}],
    }


def test_the_script_plants_what_the_simulation_plants():
    """Its formula, 1 - (1 - exp(-t x)) times the profile, with the t of the data, gives the flux of a planted world."""
    content = explore.explorer({}, {}, {})["planted"]
    depth = content["depths"].index(3.0)
    sample = World("signal", depth=0.03)
    flux = np.ones((1, len(wavelength_grid())))
    mean = disc_moments(0.06)["eu_h_mean"]

    class Stars:
        fe_h = np.array([0.0])
        abundances = {"Eu": np.array([mean + 0.5])}  # noqa: RUF012

    class Sample:
        stars, tau = Stars, 0.06

    sample.inject(flux, np.arange(flux.shape[1]), Sample)
    absorbed = 1 - np.exp(-content["strengths"][depth] * 10**0.5)
    profile = np.zeros(flux.shape[1])
    for run in content["profile"]["runs"]:
        profile[run["first"] : run["first"] + len(run["values"])] = run["values"]
    np.testing.assert_allclose(1 - absorbed * profile * content["profile"]["unit"], flux[0], atol=2e-4)


def test_named_lines_begin_with_the_planted_and_the_heavy_ones():
    lines = explore._named_lines()
    assert [line[1] for line in lines[:3]] == ["Eu (planted)"] * 3
    kinds = [line[2] for line in lines]
    assert kinds == sorted(kinds, reverse=True)


def test_a_figure_opens_large_and_is_downloaded_under_its_number():
    figure = (
        '<figure class="recorded align-default" id="f"><img alt="a" src="../_images/headline.png" />'
        '<span class="caption-number">Fig. 8.2 </span>'
        '<a class="reference download internal" download="" href="../_downloads/abc/headline.csv">csv</a></figure>'
    )
    found = finish(figure)
    assert '<a class="enlarge" href="../_images/headline.png"><img' in found
    assert 'download="fig-8-2-headline.csv"' in found
    assert finish("<figure>other</figure>") == "<figure>other</figure>"


def test_the_tests_of_a_figure_name_its_own_function_and_not_another_of_that_name(tmp_path):
    (tmp_path / "lux").mkdir()
    for module in ("drawing", "writing"):
        (tmp_path / "lux" / f"{module}.py").write_text("def page():\n    pass\n")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_pages.py").write_text(
        "from lux import drawing\nfrom lux.writing import page\n\n"
        "def test_drawn():\n    drawing.page()\n\n"
        "def test_written(page_of_a_book):\n    page()\n\n"
        "def test_other(page_of_a_book):\n    page_of_a_book.page()\n"
    )
    found = report.tests_of(tmp_path, Package(tmp_path / "lux"))
    assert found["lux.drawing", "page"] == ["test_pages.py::test_drawn"]
    assert found["lux.writing", "page"] == ["test_pages.py::test_written"]


def test_a_passport_says_who_drew_tested_and_executed():
    facts = {"function": "lux.figures.data.sky", "tests": ["test_a.py::test_b", "c"], "seed": 0, "seconds": 12.4}
    said = "drawn by `lux.figures.data.sky`; tested by `test_a.py::test_b` and 1 more; seed 0, chapter executed in 12 s"
    assert passport(facts) == said
    assert passport(facts | {"function": "", "tests": []}) == "seed 0, chapter executed in 12 s"


@pytest.fixture(params=[1280, 390])
def explorer(browser, request):
    tab = browser.new_page(viewport={"width": request.param, "height": 900})
    tab.goto((PAGES / "explore.html").as_uri())
    tab.wait_for_selector(".explorer-live svg")
    yield tab
    tab.close()


def span(tab):
    low, high = tab.evaluate(
        "() => ['low', 'high'].map(end => Number(document.querySelector('.explorer').dataset[end]))"
    )
    return high - low


def test_the_explorer_zooms_and_pans_by_button_key_and_drag(explorer):
    whole = span(explorer)
    explorer.get_by_role("button", name="Zoom in").click()
    assert span(explorer) == pytest.approx(whole / 2, rel=0.01)
    plot = explorer.locator(".explorer-plot")
    plot.press("+")
    assert span(explorer) == pytest.approx(whole / 4, rel=0.01)
    low = explorer.locator(".explorer").get_attribute("data-low")
    plot.press("PageDown")
    assert float(explorer.locator(".explorer").get_attribute("data-low")) > float(low)
    box = plot.bounding_box()
    low = explorer.locator(".explorer").get_attribute("data-low")
    explorer.mouse.move(box["x"] + 200, box["y"] + 100)
    explorer.mouse.down()
    explorer.mouse.move(box["x"] + 120, box["y"] + 100)
    explorer.mouse.up()
    assert float(explorer.locator(".explorer").get_attribute("data-low")) > float(low)
    plot.press("Home")
    assert span(explorer) == pytest.approx(whole, rel=0.01)


def test_the_explorer_reads_a_pixel_aloud_and_names_lines(explorer):
    # The genuine giants are masked there: airglow.
    explorer.get_by_label("Star", exact=True).select_option(index=4)
    explorer.get_by_label("Go to").select_option(label="15,241 Å, the published peak")
    assert span(explorer) == pytest.approx(10, rel=0.01)
    plot, reading = explorer.locator(".explorer-plot"), explorer.locator(".explorer-reading")
    plot.focus()
    explorer.keyboard.press("ArrowRight")
    first = reading.text_content()
    assert re.match(r"15,24\d\.\d Å: flux \d\.\d+", first)
    explorer.keyboard.press("Shift+ArrowRight")
    assert reading.text_content() != first
    assert explorer.locator("svg text.mark").count() > 0


def test_sliders_plant_lines_that_grow_with_europium(explorer):
    explorer.get_by_label("Go to").select_option(index=5)
    assert explorer.locator("svg path.planted").count() == 0
    explorer.get_by_label("Lines planted").fill("7")
    assert explorer.locator("svg path.planted").count() == 1
    before = explorer.locator("svg path.planted").get_attribute("d")
    explorer.get_by_label("Europium", exact=True).fill("1")
    assert explorer.locator("svg path.planted").get_attribute("d") != before
    assert explorer.get_by_label("Europium", exact=True).get_attribute("aria-valuetext") == "[Eu/H] +1.00 dex"
    assert explorer.evaluate("() => document.documentElement.scrollWidth") <= explorer.viewport_size["width"] + 1


def test_a_plot_fits_a_narrower_column_at_once_and_not_only_when_it_is_drawn_anew(explorer):
    widths = explorer.evaluate("""() => {
        const column = document.querySelector('.explorer-plot');
        column.style.width = '150px';
        return [...column.querySelectorAll('svg')].map(svg => svg.getBoundingClientRect().width);
    }""")
    assert widths
    assert max(widths) <= 150


def test_without_scripts_the_picture_stands_alone(browser):
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto((PAGES / "explore.html").as_uri())
    assert tab.locator(".explorer .fallback img").is_visible()
    assert tab.locator(".explorer-view").count() == 0
    context.close()


@pytest.mark.parametrize("width", [1280, 390])
def test_the_front_page_counts_what_would_have_been_noticed(browser, width):
    tab = browser.new_page(viewport={"width": width, "height": 900})
    tab.goto((PAGES / "index.html").as_uri())
    shares = tab.locator(".noticed-share")
    before = shares.all_text_contents()
    tab.get_by_label("Survey", exact=True).fill("0")
    after = shares.all_text_contents()
    assert before != after
    assert all(re.fullmatch(r"(falls, )?\d+ %", share) for share in after)
    widths = tab.locator(".noticed-fill").evaluate_all("bars => bars.map(bar => bar.style.width)")
    assert [f"{share.removeprefix('falls, ')}".replace(" ", "") for share in after] == widths
    assert min(tab.locator(".noticed-track").evaluate_all("bars => bars.map(bar => bar.clientWidth)")) > 80
    assert "published statistics miss" in tab.locator(".noticed-view output").text_content()
    assert tab.evaluate("() => document.documentElement.scrollWidth") <= width + 1
    tab.close()


def test_the_data_of_the_explorer_stand_on_its_page_alone_and_are_small():
    if not (PAGES / "explore.html").exists():
        pytest.skip("there is no built site (make paper)")
    pages = {path.stem: path.read_text(encoding="utf-8") for path in PAGES.glob("*.html")}
    with_script = {name for name, page in pages.items() if "explorer.js" in page}
    assert with_script == {"explore"}
    data = re.search(r'<script type="application/json">(.*?)</script>', pages["explore"], re.DOTALL)[1]
    assert {"spectra", "worlds", "lines", "planted"} <= set(json.loads(data))
    script = (ROOT / "book" / "scripts" / "explorer.js").stat().st_size
    assert len(data.encode()) + script < MOST_BYTES


@pytest.mark.parametrize(
    ("source", "doing"),
    [
        ("x = 1\n\nrecord.figure(draw(x), 'size_matrix', alt='...')", "draw size matrix, 2 lines"),
        ("page.record_observer(record, board)", "record observer, 1 line"),
        ("chapter = begin('01_data', dataset)", "set up the chapter, 1 line"),
        ("record.provenance(survey)", "provenance, 1 line"),
        ("x = 1", "compute, 1 line"),
    ],
)
def test_folded_code_says_what_it_does(source, doing):
    assert what_it_does(nbformat.v4.new_code_cell(source)) == doing


def test_toggles_have_names_of_their_own_and_icons_no_script():
    if not (PAGES / "08_controls.html").exists():
        pytest.skip("there is no built site (make paper)")
    page = (PAGES / "08_controls.html").read_text(encoding="utf-8")
    names = re.findall(r'<p class="collapsed admonition-title">(.*?)</p>', page)
    assert len(set(names)) >= 0.8 * len(names) > 0
    assert "Toggle hidden content" not in page
    assert "fontawesome" not in page


def test_the_search_finds_words_and_no_code():
    index = SITE / "searchindex.js"
    if not index.exists():
        pytest.skip("there is no built site (make paper)")
    content = json.loads(index.read_text(encoding="utf-8").removeprefix("Search.setIndex(").rstrip(")"))
    pages = dict(enumerate(content["docnames"]))

    def found(word):
        hits = content["terms"].get(word, [])
        return {pages[hit] for hit in (hits if isinstance(hits, list) else [hits])}

    entries = {word: {pages[entry[0]] for entry in places} for word, places in content["indexentries"].items()}
    for word in ("mig", "leace", "doppelganger"):
        assert "book/glossary" in entries[word]
    assert "book/06_latent_probing" in found("leac")
    assert not found("n_seeds")
    assert not found("record_observer")


def test_a_missing_page_leads_to_the_front_page_from_any_depth(browser):
    tab = browser.new_page()
    page = (SITE / "404.html").read_text(encoding="utf-8")
    tab.route("**/*", lambda route: route.fulfill(body=page, content_type="text/html"))
    for asked, front in (("/lux/book/gone.html", "/lux/index.html"), ("/lux/gone.html", "/lux/index.html")):
        tab.goto(f"http://127.0.0.1:9{asked}")
        assert tab.evaluate("() => document.getElementById('front').href") == f"http://127.0.0.1:9{front}"
    tab.close()
