"""What the head of a page tells search engines, other sites and reference managers."""

import html
from functools import cache
from pathlib import Path

import yaml
from docutils import nodes

from machinery.plain_text import plain_formula

_MOST_LETTERS = 300
_FRONT = "book/index"


def describe(app, page, template, context, doctree):
    """Add the title of the paper, its authors and date, and what the page claims, to the head of a page."""
    cited = _citation(Path(app.srcdir) / "CITATION.cff")
    if not cited:
        return
    if page == _FRONT:
        context["title"] = cited["title"]
    facts = {"citation_title": cited["title"], "citation_publication_date": str(cited["date-released"])}
    names = [_name(author) for author in cited["authors"]]
    described = (_claim(doctree) if doctree else "") or " ".join(cited["abstract"].split())
    tags = [_tag("name", name, value) for name, value in facts.items()]
    tags += [_tag("name", "citation_author", name) for name in names]
    tags += [_tag("name", "description", described), _tag("property", "og:description", described)]
    tags += [_tag("property", "og:title", context.get("title", cited["title"])), _tag("property", "og:type", "article")]
    context["metatags"] = context.get("metatags", "") + "\n".join(tags)


@cache
def _citation(path):
    return yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else {}


def _name(author):
    return author.get("name") or f"{author['family-names']}, {author['given-names']}"


def _tag(kind, name, content):
    return f'<meta {kind}="{name}" content="{html.escape(content)}" />'


def _claim(doctree):
    """Return the opening claim of a page in plain text, cut at a word; empty where there is none."""
    box = next((node for node in doctree.findall(nodes.container) if "claim" in node["classes"]), None)
    if box is None:
        return ""
    box = box.deepcopy()
    for formula in list(box.findall(nodes.math)):
        formula.replace_self(nodes.Text(plain_formula(formula.astext())))
    text = " ".join(box.astext().split())
    return text if len(text) <= _MOST_LETTERS else text[:_MOST_LETTERS].rsplit(" ", 1)[0] + " …"
