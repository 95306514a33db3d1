"""What makes a page hard to read is counted as a reader would, and the book stays within its limits."""

import json
from pathlib import Path

import pytest
from machinery.readability import acronyms, complaints_of, read, results_in, texts

ROOT = Path(__file__).resolve().parents[1]
PAGES = [*sorted((ROOT / "book").glob("*.md")), ROOT / "README.md"]


def test_words_sentences_and_numbers_are_counted_as_they_are_read():
    found = read(
        "# A heading\n\n"
        "One line of {glue:text}`width` was seen in {glue:text}`count`, as $x^2$ says {cite:p}`who2020`.\n"
        "Is it there? Yes.\n",
        recorded={"width": "25 ± 3 mÅ", "count": "3 of 200 (0.5–4.3 %)"},
    )
    assert found.sentences == 3
    assert found.numbers == 2
    assert found.words == len("One line of 25 mÅ was seen in 3 of as formula says Is it there Yes".split())


def test_code_tables_and_displayed_formulas_are_no_prose():
    text = "Two words.\n\n```{code-cell} ipython3\nx = 1 + 2\n```\n\n$$\na = 5\n$$\n\n```{build-report} hashes\n```\n"
    assert (read(text).words, read(text).numbers) == (2, 0)


@pytest.mark.parametrize(
    ("text", "unexplained"),
    [
        ("The QRS of it.", ("QRS",)),
        ("The quick red squirrel (QRS) of it. A QRS.", ()),
        ("A QRS (quick red squirrel).", ()),
        ("In the glossary: MIG.", ()),
        ("A FITS file.", ()),
    ],
)
def test_an_acronym_needs_an_explanation_here_or_in_the_glossary(text, unexplained):
    assert read(text, acronyms("MIG\n  A gap.")).unexplained == unexplained


def test_long_sentences_many_numbers_and_idioms_are_complained_of():
    long = " ".join(["word"] * 30) + "."
    assert "30.0 words a sentence" in complaints_of(read(long))[0]
    assert "numbers in 100 words" in complaints_of(read("It is 3 or 4 or 5."))[0]
    assert complaints_of(read("Nobody heeds it.")) == ["'heeds' is no plain English"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_page_reads_easily(page):
    results = results_in((ROOT / "results").glob("*.json"))
    explained = acronyms((ROOT / "book" / "glossary.md").read_text(encoding="utf-8"))
    assert complaints_of(read(page.read_text(encoding="utf-8"), explained, texts(results, page.stem))) == []


def test_a_page_quotes_its_own_results_by_their_key_alone(tmp_path):
    (tmp_path / "01_data.json").write_text(json.dumps({"chapter": "01_data", "results": {"key": {"text": "5 K"}}}))
    (tmp_path / "machines.json").write_text("[]")
    results = results_in(tmp_path.glob("*.json"))
    assert texts(results, "01_data") == {"01_data::key": "5 K", "key": "5 K"}
    assert texts(results, "index") == {"01_data::key": "5 K"}
