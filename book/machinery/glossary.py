"""Words of the glossary, marked where a page uses one first, with their meaning at hand."""

import re

from docutils import nodes
from sphinx import addnodes

PAGE = "book/glossary"
# Their words are names of code, or of works.
_WITHOUT = {PAGE, "book/api", "book/references"}
_DECLINED = (nodes.reference, nodes.literal, nodes.math, nodes.raw, addnodes.pending_xref, addnodes.download_reference)
_MARKED = re.compile(r'<a class="term ([^"]*)" href="([^"]*)" title="([^"]*)">')


def mark_terms(app, doctree, page):
    """Link the first use of each term on a page to the glossary, whose meaning the link carries."""
    if page in _WITHOUT or PAGE not in app.env.found_docs:
        return
    waiting = _entries(app.env)
    for paragraph in list(doctree.findall(lambda node: isinstance(node, (nodes.paragraph, nodes.caption)))):
        if _inside(paragraph, (nodes.entry, nodes.legend), doctree):
            continue
        for text in list(paragraph.findall(nodes.Text)):
            if waiting and not _inside(text, _DECLINED, paragraph):
                _mark(app, page, text, waiting)


def _entries(env):
    """Return what stands for each entry as a pattern, with the entry's anchor and meaning, by anchor."""
    entries = {}
    for item in env.get_doctree(PAGE).findall(nodes.definition_list_item):
        terms = [child for child in item.children if isinstance(child, nodes.term)]
        meaning = next(child for child in item.children if isinstance(child, nodes.definition)).astext()
        spelled = "|".join(_pattern(term.astext()) for term in sorted(terms, key=lambda term: -len(term.astext())))
        anchor = terms[0]["ids"][0]
        entries[anchor] = re.compile(rf"(?<![\w-])(?:{spelled})(?![\w-])"), " ".join(meaning.split())
    return entries


def _pattern(term):
    """Return a term as a pattern, in the singular or plural.

    Acronyms and names stand as they are, each other word in either case at its beginning.
    """
    if term != term.lower():
        return f"{re.escape(term)}s?"
    return " ".join(f"[{word[0]}{word[0].upper()}]{re.escape(word[1:])}" for word in term.split()) + "s?"


def _inside(node, kinds, root):
    """Return whether a node lies in one of some kinds, below a root."""
    while node is not root and (node := node.parent) is not None:
        if isinstance(node, kinds):
            return True
    return False


def _mark(app, page, text, waiting):
    """Replace a text by pieces in which the first use of each waiting term is a link."""
    content, pieces, done = text.astext(), [], 0
    found = sorted(
        (match.start(), -match.end(), anchor)
        for anchor, (pattern, _) in waiting.items()
        if (match := pattern.search(content))
    )
    for start, end, anchor in found:
        if start < done:
            continue
        _, meaning = waiting.pop(anchor)
        address = f"{app.builder.get_relative_uri(page, PAGE)}#{anchor}"
        link = nodes.reference(
            "", content[start:-end], refuri=address, internal=True, reftitle=meaning, classes=["term"]
        )
        pieces += [nodes.Text(content[done:start]), link]
        done = -end
    if pieces:
        text.parent.replace(text, [*pieces, nodes.Text(content[done:])])


def show_meanings(body):
    """Return a page in which the meaning of a marked term is shown by the style sheet, for pointer and keyboard."""
    return _MARKED.sub(r'<a class="term \1" href="\2" data-meaning="\3">', body)
