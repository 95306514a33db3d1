"""Sphinx extension of the book: directives that place what a chapter recorded, and MathJax without a network.

Products are read from ``_products/`` beside the staged pages, or from ``_build/interactive/`` when
``jupyter-book build .`` executes the chapters itself.
"""

import importlib.util
import json
import os
import re
import shutil
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import directives
from docutils.statemachine import StringList
from sphinx import addnodes
from sphinx.util.docutils import SphinxDirective, SphinxRole

from machinery.figures import finish, passport
from machinery.glossary import mark_terms, show_meanings
from machinery.numbered import NumberedReferences
from machinery.page_head import describe
from machinery.plain_text import plain_formula

# Half the bytes of the one that draws its letters; these are in a folder of fonts beside it.
MATHJAX_FILE = "tex-chtml.js"
_MATHJAX_FONTS = Path("output", "chtml", "fonts", "woff-v2")
# A number stays with its unit, its error and what it is of.
_SHORT_RESULT = re.compile(r'<span class="pasted-text">([^<]{1,24})</span>')
# A short formula, with the number before it and the marks around it: a browser would end lines between them.
_SHORT_FORMULA = re.compile(
    r'((?:\(?<span class="pasted-text">[^<]{1,24}</span>|\()?)'
    r'(<span class="math [^>]*>\\\([^<]{1,40}\\\)</span>)([,.;:!?)]*)'
)
_SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"
ICON_SCRIPT = re.compile(r"<(?:script|link)[^>]*fontawesome\.js[^>]*>(?:\s*</script>)?")
FORMULA_HEADING = re.compile(
    r'<th class="(head[^"]*)">(?=<p><span class="math[^"]*">\\\(([^<]*)\\\)</span></p></th>)(.*?)</th>', re.DOTALL
)
_AGREEMENT = {"yes": "They agree", "partly": "They agree in part", "no": "They disagree", "open": "Not tested by both"}


class _Products:
    """The products of a chapter as seen from a page; remembers what the page must be rebuilt for."""

    def __init__(self, env, reference):
        chapter, _, self.name = reference.rpartition("::")
        self.env = env
        self.own = not chapter
        self.chapter = chapter or Path(env.docname).name
        self.folder = _products_folder(env.srcdir) / self.chapter

    def read(self, file):
        path = self.folder / file
        self.env.note_dependency(str(path))
        if not path.exists():
            return None
        return json.loads(path.read_text(encoding="utf-8"))

    def relative(self, path):
        return os.path.relpath(path, Path(self.env.doc2path(self.env.docname)).parent)


def _products_folder(source):
    staged = Path(source) / "_products"
    return staged if staged.is_dir() else Path(source) / "_build" / "interactive"


class RecordedRole(SphinxRole):
    """``{recorded}`chapter::key```: the text of a result of any chapter."""

    def run(self):
        products = _Products(self.env, self.text)
        for file in ("results.json", "measurements.json"):
            content = products.read(file) or {}
            entry = content.get("results", content).get(products.name)
            if isinstance(entry, dict) and "text" in entry:
                return [nodes.inline("", entry["text"], classes=["pasted-text"])], []
        return [_missing(self, f"chapter {products.chapter} has no result {products.name!r}")], []


class ChosenRole(SphinxRole):
    """``{chosen}`5 %```: a number that is a choice of the authors, not a result; it stays on one line with its unit."""

    def run(self):
        return [nodes.Text(self.text.replace(" ", "\N{NO-BREAK SPACE}"))], []


class RecordedFigure(SphinxDirective):
    """A figure that a chapter recorded, numbered, with its alt text, caption and downloads."""

    required_arguments = 1
    has_content = True
    option_spec = {"name": directives.unchanged, "width": directives.unchanged}  # noqa: RUF012 - docutils' interface

    def run(self):
        products = _Products(self.env, self.arguments[0])
        image = products.folder / "figures" / f"{products.name}.png"
        facts = products.read(f"figures/{products.name}.json")
        if facts is None or not image.exists():
            message = f"chapter {products.chapter} has no figure {products.name!r}"
            return [nodes.paragraph("", "", _missing(self, message))]
        self.env.note_dependency(str(image))
        figure = nodes.figure("", nodes.image(uri=products.relative(image), alt=facts["alt"]), classes=["recorded"])
        if "width" in self.options:
            figure[0]["width"] = self.options["width"]
        caption = nodes.caption()
        caption += _inline_content(self)
        figure += caption
        figure += nodes.legend("", self._downloads(products, image))
        figure[-1] += self._passport(products)
        return [_named(self, figure, products, "fig")]

    def _downloads(self, products, image):
        paragraph = nodes.paragraph("", "Download: ", classes=["downloads"])
        files = (image.with_suffix(suffix) for suffix in (".png", ".svg", ".csv"))
        for number, path in enumerate(path for path in files if path.exists()):
            target = products.relative(path)
            link = addnodes.download_reference("", "", refdoc=self.env.docname, reftarget=target, refdomain="")
            link += nodes.inline("", "data (csv)" if path.suffix == ".csv" else path.suffix[1:])
            paragraph += [nodes.Text(", ")] * bool(number) + [link]
        return paragraph

    def _passport(self, products):
        known = _report(self.env).get("passports", {}).get(products.chapter, {}).get(products.name)
        return (
            _parse(self, f"{{.passport}}\n{passport(known)[0].upper()}{passport(known)[1:]}.").children if known else []
        )


class Interactive(SphinxDirective):
    """What a chapter recorded with `Record.data`, for a script of the site: ``{interactive} explorer spectra``.

    The first argument names the script in ``book/scripts``, which is loaded on pages that use it and nowhere else. The
    content, such as a recorded figure, is what a page without scripts and the printed one show.
    """

    required_arguments = 2
    has_content = True

    def run(self):
        script, reference = self.arguments
        products = _Products(self.env, reference)
        content = products.read(f"data/{products.name}.json")
        if content is None:
            message = f"chapter {products.chapter} has no data {products.name!r}"
            return [nodes.paragraph("", "", _missing(self, message))]
        self.env.metadata[self.env.docname].setdefault("scripts", ["inputs.js"]).append(f"{script}.js")
        box = nodes.container(classes=[script, "interactive"])
        fallback = nodes.container(classes=["fallback"])
        self.state.nested_parse(self.content, self.content_offset, fallback)
        # "<" would end the element where a text says so.
        data = json.dumps(content, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
        box += [nodes.raw("", f'<script type="application/json">{data}</script>', format="html"), fallback]
        return [box]


class RecordedTable(SphinxDirective):
    """A table that a chapter recorded, numbered and captioned."""

    required_arguments = 1
    has_content = True
    option_spec = {"name": directives.unchanged}  # noqa: RUF012 - docutils' interface

    def run(self):
        products = _Products(self.env, self.arguments[0])
        markdown = (products.read("tables.json") or {}).get(products.name)
        if markdown is None:
            message = f"chapter {products.chapter} has no table {products.name!r}"
            return [nodes.paragraph("", "", _missing(self, message))]
        table = _parse(self, markdown)[0]
        title = nodes.title()
        title += _inline_content(self)
        table.insert(0, title)
        table["classes"] += ["recorded"]
        return [_named(self, table, products, "tab")]


class Claim(SphinxDirective):
    """The opening claim of a chapter."""

    has_content = True

    def run(self):
        box = nodes.container(classes=["claim"])
        self.state.nested_parse(self.content, self.content_offset, box)
        return [box]


class Agreement(SphinxDirective):
    """The closing comparison with the published study: ``{agreement} yes``, ``partly``, ``no`` or ``open``."""

    required_arguments = 1
    has_content = True

    def run(self):
        answer = directives.choice(self.arguments[0], tuple(_AGREEMENT))
        box = nodes.container(classes=["agreement", f"agreement-{answer}"])
        box += nodes.paragraph("", f"{_AGREEMENT[answer]}.", classes=["agreement-answer"])
        self.state.nested_parse(self.content, self.content_offset, box)
        return [box]


def _draw_architecture(app):
    """Draw the picture of the package for its page, where the pages look for what chapters record."""
    if not (Path(app.srcdir) / "book" / "architecture.md").exists():
        return
    import lux
    from lux.store.dependencies import Package
    from machinery.architecture import draw_rooms

    draw_rooms(Package(Path(lux.__file__).parent), _products_folder(app.srcdir) / "architecture")


class BuildReport(SphinxDirective):
    """A table of the build's own report: ``{build-report} chapters``."""

    required_arguments = 1

    def run(self):
        report = _report(self.env)
        if not report:
            return [nodes.paragraph("", "This table is filled in by the build of the whole paper, make paper.")]
        return _parse(self, report[self.arguments[0]]).children


def _report(env):
    """Return the build's report on itself, empty where Jupyter Book executes the chapters by itself."""
    path = Path(env.srcdir) / "_products" / "report.json"
    env.note_dependency(str(path))
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def _parse(directive, markdown):
    parsed = nodes.Element()
    lines = StringList(markdown.splitlines(), directive.get_source_info()[0])
    directive.state.nested_parse(lines, directive.content_offset, parsed)
    return parsed


def _inline_content(directive):
    parsed = nodes.Element()
    directive.state.nested_parse(directive.content, directive.content_offset, parsed)
    if len(parsed) != 1 or not isinstance(parsed[0], nodes.paragraph):
        raise directive.error("the caption must be one paragraph")
    return parsed[0].children


def _named(directive, node, products, prefix):
    own = _label(prefix, directive.env.docname, products.name) if products.own else None
    label = directive.options.get("name") or own
    if label:
        directive.options["name"] = label
        directive.add_name(node)
    directive.set_source_info(node)
    return node


def _label(prefix, page, name):
    """Return a label that no other page can have: "fig-02-lux-headline" for `fig-headline` of the page 02_lux."""
    return f"{prefix}-{page.rpartition('/')[2]}-{name}".replace("_", "-")


def _own_labels(app, page, source):
    """Let authors write short labels, such as `fig-headline`, for figures and tables of their own page."""
    source[0] = re.sub(
        r"({numref}`|:name: )(fig|tab)-([\w-]+)",
        lambda found: found[1] + _label(found[2], page, found[3]),
        source[0],
    )


def _missing(place, message):
    report = Path(place.env.srcdir) / "_products" / "report.json"
    if report.exists() and json.loads(report.read_text(encoding="utf-8"))["partial"]:
        return nodes.inline("", "(not in this partial build)", classes=["partial"])
    from sphinx.util import logging

    logging.getLogger(__name__).warning(message, location=place.get_location(), type="recorded")
    return nodes.inline("", f"({message})")


def _copy_mathjax(app, failure):
    if failure is None and app.builder.format == "html":
        package = Path(importlib.util.find_spec("sphinx-mathjax-offline").origin).parent
        target = Path(app.outdir) / "_static" / "mathjax"
        shutil.copytree(package / "static" / "mathjax" / _MATHJAX_FONTS, target / _MATHJAX_FONTS, dirs_exist_ok=True)
        shutil.copy(package / "static" / "mathjax" / MATHJAX_FILE, target)


def _copy_scripts(app, failure):
    """Offer a page for addresses that are none, and scripts, which from `_static` every page would load."""
    if failure is None and app.builder.format == "html":
        for path in _SCRIPTS.glob("*.js"):
            shutil.copy(path, Path(app.outdir) / "_static")
        shutil.copy(_SCRIPTS / "404.html", app.outdir)


def _drop_icon_script(app, failure):
    """Take the theme's script of icons out of all pages: its style sheet draws them too, with a tenth of the bytes."""
    if failure is None and app.builder.format == "html":
        for path in Path(app.outdir).rglob("*.html"):
            text = path.read_text(encoding="utf-8")
            path.write_text(ICON_SCRIPT.sub("", text), encoding="utf-8")
        for path in (Path(app.outdir) / "_static" / "scripts").glob("fontawesome.js*"):
            path.unlink()


def _point_to_local_mathjax(app, config):
    config.mathjax_path = f"mathjax/{MATHJAX_FILE}"


def _search_prose_alone(app):
    """Keep the code of chapters out of the index of the search, where every name of a variable would be found."""
    if app.builder.format != "html":
        return
    index_page = app.builder.index_page

    def index_prose(page, doctree, title):
        prose = doctree.deepcopy()
        for code in list(prose.findall(nodes.literal_block)):
            code.parent.remove(code)
        index_page(page, prose, title)

    app.builder.index_page = index_prose


def _drop_live_cells(app, config):
    """Silence sphinx-thebe, which Jupyter Book loads always: it writes the address of another host into every page."""
    for event, listeners in app.events.listeners.items():
        # Its style sheet is linked already and must be found.
        app.events.listeners[event] = [each for each in listeners if not _is_live_cells(each.handler)]


def _is_live_cells(handler):
    names = getattr(handler, "__module__", ""), getattr(handler, "__name__", "")
    return names[0] == "sphinx_thebe" and names[1] != "st_static_path"


def _mend_roles(app, page, template, context, doctree):
    """Give references the role that their list requires, docutils' own being deprecated, and formulas a name."""
    if "body" in context:
        body = context["body"].replace('role="doc-biblioentry"', 'role="listitem"')
        # The summary says what the code does; this would be read instead.
        body = body.replace('<summary aria-label="Toggle hidden content">', "<summary>")
        body = _SHORT_RESULT.sub(
            lambda found: found[0].replace(found[1], found[1].replace(" ", "\N{NO-BREAK SPACE}")), body
        )
        body = _SHORT_FORMULA.sub(_unbroken, body)
        # A displayed formula may be wider than the screen, and must be scrolled without a pointer too.
        body = body.replace('<div class="math ', '<div tabindex="0" class="math ')
        body = finish(show_meanings(FORMULA_HEADING.sub(_name_formula, body)))
        if app.builder.name == "html":
            # A figure below the first screen is fetched when it comes near; what is printed needs all.
            body = body.replace("<img ", '<img loading="lazy" ')
            if 'class="math' not in body:
                # Sphinx asks whether any page below has a formula.
                context["script_files"] = [each for each in context["script_files"] if "mathjax" not in str(each)]
            for script in app.env.metadata.get(page, {}).get("scripts", ()):
                body += f'<script defer src="{context["pathto"](f"_static/{script}", 1)}"></script>'
        context["body"] = body


def _name_formula(heading):
    """Give a table heading that is a formula alone, which is drawn as a picture, a name that can be read aloud."""
    name = plain_formula(heading[2])
    return f'<th class="{heading[1]} formula" aria-label="{name}">{heading[3]}</th>'


def _unbroken(found):
    return f'<span class="unbroken">{found[0]}</span>' if found[1] or found[3] else found[0]


def setup(app):
    """Register the book's directives, role and mathematics."""
    app.add_domain(NumberedReferences, override=True)
    app.add_role("recorded", RecordedRole())
    app.add_role("chosen", ChosenRole())
    app.add_directive("recorded-figure", RecordedFigure)
    app.add_directive("recorded-table", RecordedTable)
    app.add_directive("interactive", Interactive)
    app.add_directive("claim", Claim)
    app.add_directive("agreement", Agreement)
    app.add_directive("build-report", BuildReport)
    app.connect("config-inited", _point_to_local_mathjax)
    app.connect("config-inited", _drop_live_cells)
    app.connect("builder-inited", _draw_architecture)
    app.connect("builder-inited", _search_prose_alone)
    app.connect("source-read", _own_labels)
    app.connect("doctree-resolved", mark_terms)
    app.connect("html-page-context", _mend_roles)
    app.connect("html-page-context", describe)
    app.connect("build-finished", _copy_mathjax)
    app.connect("build-finished", _copy_scripts)
    app.connect("build-finished", _drop_icon_script)
    return {"parallel_read_safe": True}
