"""How hard a page is to read: words a sentence, numbers per hundred words, and acronyms that nothing explains.

A formula, a reference or code counts as one word, a citation as none; a result counts as what it prints, and its error
as no number of its own.
"""

import json
import re
from dataclasses import dataclass

from machinery.prose import spoken

MAX_WORDS_A_SENTENCE = 20.0
MAX_NUMBERS_PER_100_WORDS = 5.0

_WORD = re.compile(r"\[[^\]\s]+\]|[^\W_][^\s]*")
_ERROR = re.compile(r" ± [\d.]+|(?<=\d) \[[−\d., ]+\]|(?<=\d) \([\d.]+–[\d.]+ ?%?\)|(?<=\d of) \d+\b")
_DIGIT = re.compile(r"[-+−~]?\d")
_END = re.compile(r"(?<=[.!?])[*_\"')\]]*\s+(?=[^a-z\s])|\n\s*\n|\n(?=\s*(?:[|*+-]|\d+\.)\s)")
_ABBREVIATION = re.compile(r"\b(?:Figs?|Eqs?|Sect|Tab|et al|vs|cf|e\.g|i\.e|no|approx|D)\.$")
_ACRONYM = re.compile(r"(?<![\w/.'-])[A-Z]{2,}[A-Z0-9]*(?=s?(?![\w-]))")
# Molecules, and names of programs, files, surveys' releases and licenses.
_NAMES = {
    "API", "BY", "CC", "CN", "CO", "CPU", "CSV", "DR3", "DR10", "DR17", "FITS", "GB", "GPU", "HDF5", "II", "JAX",
    "JSON", "MB", "MIT", "OH", "PDF", "SDSS", "SLURM",
}  # fmt: skip
# What this book said once and no reader says.
_IDIOMS = re.compile(
    r"\b(?:heeds?|puts? to|lets? expect|goes with|go with|speaks? of)\b|^Answer:|\bAnswer: ", re.IGNORECASE
)


@dataclass(frozen=True)
class Readability:
    """What was counted on a page."""

    words: int
    sentences: int
    numbers: int
    longest: str
    unexplained: tuple
    idioms: tuple

    @property
    def words_a_sentence(self):
        """Mean number of words of a sentence."""
        return self.words / max(self.sentences, 1)

    @property
    def numbers_per_100_words(self):
        """Numbers in a hundred words of prose; tables do not count."""
        return 100 * self.numbers / max(self.words, 1)


def read(text, explained=frozenset(), recorded=None):
    """Count what makes a page hard to read.

    Parameters
    ----------
    text : str
        Source of the page.
    explained : set of str
        Acronyms that the glossary has: `acronyms`.
    recorded : dict of str to str, optional
        What results print, by key.
    """
    text = _ERROR.sub("", spoken(text, recorded))
    sentences = [found for found in map(_WORD.findall, _sentences(text)) if found]
    words = [word for sentence in sentences for word in sentence]
    return Readability(
        words=len(words),
        sentences=len(sentences),
        numbers=sum(bool(_DIGIT.match(word)) for word in words),
        longest=" ".join(max(sentences, key=len, default=[])),
        unexplained=tuple(sorted(set(_ACRONYM.findall(text)) - _NAMES - set(explained) - _spelled_out(text))),
        idioms=tuple(found[0] for found in _IDIOMS.finditer(text)),
    )


def acronyms(text):
    """Return the acronyms in a text, such as the glossary."""
    return set(_ACRONYM.findall(text))


def results_in(paths):
    """Return the recorded results of chapters by the chapter's name, from JSON files; others are passed over."""
    contents = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    return {each["chapter"]: each["results"] for each in contents if "chapter" in each}


def texts(results, page):
    """Return what results print, by the keys under which a page may quote them.

    Parameters
    ----------
    results : dict of str to dict
        Recorded results of chapters, by name of the chapter.
    page : str
        Name of the page, which quotes its own results by their key alone.
    """
    own = {key: entry["text"] for key, entry in results.get(page, {}).items()}
    return own | {f"{name}::{key}": entry["text"] for name, found in results.items() for key, entry in found.items()}


def complaints_of(page):
    """Return what is wrong with what was read, as a list of messages."""
    found = []
    if page.words_a_sentence > MAX_WORDS_A_SENTENCE:
        mean = f"{page.words_a_sentence:.1f} words a sentence, {MAX_WORDS_A_SENTENCE:.0f} at most"
        found.append(f"{mean}; the longest has {len(page.longest.split())}: {page.longest[:80]}...")
    if page.numbers_per_100_words > MAX_NUMBERS_PER_100_WORDS:
        rate = f"{page.numbers_per_100_words:.1f} numbers in 100 words, {MAX_NUMBERS_PER_100_WORDS:.0f} at most"
        found.append(f"{rate}; put them into a table")
    found += [f"{word} is explained neither here, in brackets, nor in the glossary" for word in page.unexplained]
    return found + [f"{idiom!r} is no plain English" for idiom in page.idioms]


def _sentences(text):
    start = 0
    for end in _END.finditer(text):
        if not _ABBREVIATION.search(text[start : end.start()]):
            yield text[start : end.start()]
            start = end.end()
    yield text[start:]


def _spelled_out(text):
    """Return acronyms that stand in brackets behind their words, or have theirs behind them."""
    behind, before = r"\(([A-Z]{2,}[A-Z0-9]*)s?[,)]", r"\b([A-Z]{2,}[A-Z0-9]*)(?:'?s)? \("
    return {word for pattern in (behind, before) for word in re.findall(pattern, text)}
