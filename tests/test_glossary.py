"""Words of two fields are explained once, and marked where a page uses them first."""

import re
from pathlib import Path

import pytest
from built_paper import SITE
from machinery.glossary import _pattern, show_meanings

ROOT = Path(__file__).resolve().parents[1]
PAGES = SITE / "book"
GLOSSARY = (ROOT / "book" / "glossary.md").read_text(encoding="utf-8")


def entries():
    """Return the terms of each entry and its meaning."""
    found = []
    for block in re.findall(r":::\{glossary\}\n(.*?)^:::", GLOSSARY, re.DOTALL | re.MULTILINE):
        for entry in block.strip().split("\n\n"):
            *terms, meaning = entry.splitlines()
            found.append((terms, meaning.strip()))
    return found


def test_each_of_fifty_words_has_a_short_meaning_and_stands_once():
    terms = [term for spelled, _ in entries() for term in spelled]
    assert len(entries()) >= 50
    assert len(set(terms)) == len(terms)
    assert all(len(meaning.split()) <= 40 and meaning.endswith(".") for _, meaning in entries())


@pytest.mark.parametrize(
    ("term", "text", "found"),
    [
        ("probe", "Probe it", True),
        ("probe", "Probes", True),
        ("probe", "probed", False),
        ("mutual information gap", "The Mutual Information Gap", True),
        ("MIG", "the MIG of", True),
        ("MIG", "mig", False),
        ("[Fe/H]", "at [Fe/H] of", True),
    ],
)
def test_a_term_is_found_as_it_is_written(term, text, found):
    assert bool(re.search(rf"(?<![\w-])(?:{_pattern(term)})(?![\w-])", text)) == found


def test_a_meaning_is_left_to_the_style_sheet():
    link = '<a class="term reference internal" href="glossary.html#term-MIG" title="How much">MIG</a>'
    shown = show_meanings(link)
    assert 'data-meaning="How much"' in shown
    assert "title=" not in shown


@pytest.mark.parametrize("name", ["06_latent_probing", "08_controls", "your_technique"])
def test_a_page_marks_a_term_once_and_its_link_leads_to_the_entry(name):
    if not (PAGES / f"{name}.html").exists():
        pytest.skip("there is no built site (make paper)")
    page, glossary = ((PAGES / f"{each}.html").read_text(encoding="utf-8") for each in (name, "glossary"))
    anchors = re.findall(r'<a class="term [^"]*" href="glossary.html#([^"]+)" data-meaning="[^"]+">', page)
    assert len(anchors) >= 5
    assert len(set(anchors)) == len(anchors)
    assert all(f'id="{anchor}"' in glossary for anchor in anchors)
