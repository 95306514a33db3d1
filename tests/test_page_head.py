"""Search engines and reference managers are told what a page claims and whose it is."""

import re
import types
from pathlib import Path

import pytest
import yaml
from built_paper import SITE
from docutils import nodes
from machinery.page_head import describe
from machinery.plain_text import plain_formula
from machinery.sphinx_extension import _SHORT_FORMULA, _unbroken
from machinery.stage import _write_configuration, imprint

ROOT = Path(__file__).resolve().parents[1]
APP = types.SimpleNamespace(srcdir=ROOT)


def tags(page, claim, **context):
    """Return the tags of a page with a claim, by name, and its title."""
    box = nodes.container("", nodes.paragraph("", claim), classes=["claim"])
    describe(APP, page, "page.html", context, nodes.section("", box))
    return dict(re.findall(r'<meta \w+="([^"]+)" content="([^"]*)" />', context["metatags"])), context.get("title")


def test_a_page_is_described_by_its_claim_and_cited_as_the_paper_is():
    found, title = tags("book/08_controls", 'Lines of "1 %" are seen.', title="Controls")
    assert found["description"] == found["og:description"] == "Lines of &quot;1 %&quot; are seen."
    assert found["og:title"] == title == "Controls"
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert found["citation_title"] in citation
    assert found["citation_author"] in citation
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", found["citation_publication_date"])


def test_formulas_of_a_claim_are_described_in_letters():
    claim = nodes.paragraph("", "", nodes.Text("Up to 3.5"), nodes.math("", r"\sigma"), nodes.Text(", and no more."))
    context = {}
    describe(APP, "book/05_saliency", "page.html", context, nodes.container("", claim, classes=["claim"]))
    assert 'name="description" content="Up to 3.5σ, and no more."' in context["metatags"]
    formulas = {
        r"T_\mathrm{eff}": "Teff",
        r"T_{\rm eff}": "Teff",
        r"\log g": "log g",
        r"[\alpha/\mathrm{Fe}]": "[α/Fe]",
    }
    assert [plain_formula(each) for each in formulas] == list(formulas.values())


def test_the_front_page_has_the_title_of_the_paper_and_a_long_claim_ends_at_a_word():
    found, title = tags("book/index", "word " * 200, title="Known or guessed?")
    assert title.startswith("Known or guessed? Interpretability")
    assert len(found["description"]) <= 302
    assert found["description"].endswith("word …")


def test_a_page_without_a_claim_has_the_abstract():
    context = {"title": "Search"}
    describe(APP, "search", "search.html", context, None)
    assert 'name="description" content="A linear latent-variable model' in context["metatags"]


@pytest.mark.parametrize("name", ["book/index", "book/03_label_transfer", "book/large_surveys"])
def test_a_built_page_has_one_title_and_one_description(name):
    path = SITE / f"{name}.html"
    if not path.exists():
        pytest.skip("there is no built site (make paper)")
    page = path.read_text(encoding="utf-8")
    assert page.count("<title>") == page.count('<meta name="description"') == 1
    assert all('loading="lazy"' in image for image in re.findall(r"<img [^>]*>", page) if "_images" in image)


def test_every_page_ends_with_who_wrote_which_version_under_what_license(tmp_path):
    said = imprint(ROOT)
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert cited["authors"][0]["name"] in said
    assert f"version {cited['version']} of {cited['date-released']}, commit " in said
    assert "CC BY 4.0; code: MIT" in said
    assert imprint(tmp_path) == ""


@pytest.mark.parametrize("address", ["", "https://example.org/paper/"])
def test_pages_name_their_address_where_the_site_has_one(tmp_path, monkeypatch, address):
    monkeypatch.setenv("LUX_SITE_URL", address)
    _write_configuration(ROOT, tmp_path, "")
    configuration = yaml.safe_load((tmp_path / "_config.yml").read_text(encoding="utf-8"))
    assert configuration["html"].get("baseurl", "") == address


def test_a_line_does_not_end_between_a_number_and_its_formula_or_the_mark_behind_it():
    formula = r'<span class="math notranslate nohighlight">\(\sigma\)</span>'
    number = '<span class="pasted-text">3.5</span>'
    for text in (f"({number}{formula},", f"{formula}.", f"({formula}"):
        assert _SHORT_FORMULA.sub(_unbroken, f"a {text} b") == f'a <span class="unbroken">{text}</span> b'
    assert _SHORT_FORMULA.sub(_unbroken, f"a {formula} b") == f"a {formula} b"
