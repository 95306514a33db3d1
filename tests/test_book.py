"""The book as text and as a website: its lint, the comparison of results, every page in a browser without a network.

The module is long because its tests share one browser and one built site.
"""

import contextlib
import functools
import http.server
import json
import queue
import re
import threading
from concurrent.futures import Future
from pathlib import Path
from urllib.parse import unquote, urlsplit

import lint_book
import pytest
from built_paper import BUILD, SITE
from machinery.chapters import read_pages
from machinery.site import chromium

ROOT = Path(__file__).resolve().parents[1]
MAX_WEIGHT = 1_500_000

CLEAN_CHAPTER = """\
# Title

:::{claim}
The RMSE is {glue:text}`rmse` dex at {chosen}`5 %` false positives.
:::

```{recorded-figure} headline
Caption with {glue:text}`rmse`.
```

```{code-cell} ipython3
:tags: [hide-input]
record("rmse", 0.107)
record.figure(fig, "headline", alt=f"The points scatter by {rmse} about the line of equality.")
```

## Agreement

:::{agreement} yes
The study finds 0.107 dex {cite:p}`horta2026`. It trains on DR17 (2022) with $P = 4M + 1 = 21$ and $0.5\\sigma$.
:::

```{code-cell} ipython3
record.provenance()
```
"""


def lint(text, name="01_test"):
    return [message for _, message in lint_book.lint_page(text, name, {"horta2026"})]


def test_the_book_passes_its_lint(capsys):
    assert lint_book.main([]) == 0, capsys.readouterr().out


@pytest.mark.parametrize("number", range(1, 19))
def test_each_point_of_the_referee_has_its_answer(number):
    sections = re.split(r"^## ", (ROOT / "book" / "referee.md").read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    (section,) = (each for each in sections if each.startswith(f"F{number} "))
    fields = re.findall(r"^\*\*(\w+)\.\*\*\n(\S[^\n]*)", section, re.MULTILINE)
    assert [name for name, _ in fields] == ["Point", "Agreed", "Done", "Where"]
    assert dict(fields)["Agreed"].startswith(("Yes", "In part", "No"))
    assert re.search(r"\{doc\}", dict(fields)["Where"])


@pytest.mark.parametrize("page", [page for page in read_pages(ROOT) if page.is_chapter], ids=lambda page: page.name)
def test_a_chapter_begins_with_the_data_set_that_is_its_parameter_or_none_with_the_synthetic_one(page):
    (given,) = re.findall(r'^chapter = begin\("\w+", ([^,]+),', page.source, re.MULTILINE)
    assert given == ('"synthetic"' if page.any_data_set else "dataset")


def test_every_reference_is_cited():
    keys = re.findall(r"^@\w+\{(\w+),", (ROOT / "book" / "references.bib").read_text(encoding="utf-8"), re.MULTILINE)
    pages = "\n".join(page.source for page in read_pages(ROOT))
    cited = {key.strip() for group in re.findall(r"\{cite[:\w]*\}`([^`]+)`", pages) for key in group.split(",")}
    assert len(keys) == len(set(keys))
    assert set(keys) <= cited


def test_a_clean_chapter_passes_the_lint():
    assert lint(CLEAN_CHAPTER) == []


@pytest.mark.parametrize(
    "sentence",
    [
        "The RMSE is 0.107.",
        "It explains 67 % of the variance.",
        "It explains 67% of the variance.",
        "We used 4,000 of them.",
        "It was trained on 1600 spectra.",
        "The fit takes 12 s.",
        "The offset is 95 K.",
        "The line lies at 15241 Å.",
        "The p-value is 1e-5.",
        "The loss fell to $0.107$.",
        "The error is $0.107 \\pm 0.004$ dex.",
        "Horta says so {cite:p}`horta2026`. We find 0.11.",
        "| RMSE | 0.107 |",
        "- a list item with −0.02 in it",
    ],
)
def test_a_result_typed_by_hand_fails_the_lint(sentence):
    text = CLEAN_CHAPTER.replace("## Agreement", f"{sentence}\n\n## Agreement")
    assert any("typed by hand" in message for message in lint(text))


def test_an_area_or_a_power_is_quoted_with_the_number_of_stars():
    for score in ("The area is {recorded}`08_controls::area`.", "It finds lines with a power of {glue:text}`power`."):
        text = CLEAN_CHAPTER.replace("## Agreement", f"{score}\n\n## Agreement")
        assert any("without the number of stars" in message for message in lint(text))
        text = text.replace(score, score.replace(".", " in {glue:text}`stars_large` stars."))
        assert not lint(text)


def test_a_result_typed_into_a_caption_or_alt_text_fails_the_lint():
    assert lint(CLEAN_CHAPTER.replace("Caption with", "Caption with 0.1 and"))
    assert lint(CLEAN_CHAPTER.replace("The points scatter by {rmse}", "The points scatter by 0.107 dex"))


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("Caption with {glue:text}`rmse`.\n", "", "recorded-figure without caption"),
        (', alt=f"The points scatter by {rmse} about the line of equality."', "", "without alt text"),
        ("{cite:p}`horta2026`", "{cite:p}`horta2026,nobody1999`", "'nobody1999' is not in references.bib"),
        (":::{claim}", ":::{note}", "no opening claim"),
        ("# Title\n", "# Title\n\n## Too early\n", "no opening claim"),
        ("record.provenance()", "pass", "record.provenance"),
        (":::{agreement} yes", ":::{note}", "no {agreement}"),
        ("{recorded-figure} headline", "{recorded-figure} other", "recorded but never placed"),
        ("## Agreement", "See {numref}`tab-elsewhere`.\n\n## Agreement", "'tab-elsewhere' is not on this page"),
        ("## Agreement", "![a plot](plot.png)\n\n## Agreement", "image without caption"),
    ],
)
def test_what_a_chapter_lacks_fails_the_lint(old, new, complaint):
    assert old in CLEAN_CHAPTER
    assert any(complaint in message for message in lint(CLEAN_CHAPTER.replace(old, new)))


@pytest.mark.parametrize(
    ("code", "complaint"),
    [
        ("x = 1\n" * 31, "lines, 30 at most"),
        ("x = 1\n" * 29 + "\n", "lines on average"),
        ("def f():\n" + "    pass\n" * 5, "f has 6 lines, 5 at most"),
        ("x = '" + "a" * 160 + "'\n", "line of more than 160 characters"),
    ],
)
def test_code_that_belongs_in_a_module_fails_the_lint(code, complaint):
    text = CLEAN_CHAPTER.replace('record("rmse", 0.107)\n', code + 'record("rmse", 0.107)\n')
    assert any(complaint in message for message in lint(text)), lint(text)


def test_a_complaint_names_the_line():
    text = CLEAN_CHAPTER.replace("## Agreement", "We find 0.11.\n\n## Agreement")
    line = text.split("We find")[0].count("\n") + 1
    assert lint_book.lint_page(text, "01_test", {"horta2026"})[0][0] == line


WIDE = {"width": 1280, "height": 900}
# Violations of the theme's own markup that no page of ours causes; everything else fails.
KNOWN_OF_THE_THEME = {
    # The title in the sidebar stands outside the navigation.
    "region": [r'^<div class="sidebar-primary-item">\s*<a class="navbar-brand logo"'],
    # A heading that is a formula alone has a name to be read aloud, but axe asks for visible text.
    "empty-table-header": [r'^<th class="head[^"]* formula" aria-label="[^"]+">'],
}


@pytest.fixture(scope="module")
def address():
    """The site served on this machine alone, as a host would."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            """Say nothing: a missing file shows as a failed request."""

    handler = functools.partial(Quiet, directory=str(SITE))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def site_pages():
    return [*(f"{page.document}.html" for page in read_pages(ROOT)), "search.html", "genindex.html"]


@pytest.fixture(scope="module")
def inspected(browser, address):
    """What is wrong with each page, as futures: two browsers of their own look at them side by side."""
    del browser
    found, waiting = {name: Future() for name in site_pages()}, queue.SimpleQueue()
    for name in found:
        waiting.put(name)

    def work():
        from playwright.sync_api import sync_playwright

        with sync_playwright() as playwright:
            own = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
            # One context for all its pages: what they share is fetched and compiled once.
            context = own.new_context(viewport=WIDE, color_scheme="light")
            while not waiting.empty():
                with contextlib.suppress(queue.Empty):
                    name = waiting.get_nowait()
                    try:
                        found[name].set_result(inspect_page(context, address, name))
                    except Exception as error:
                        found[name].set_exception(error)
            own.close()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    yield found
    for thread in threads:
        thread.join()


@pytest.mark.slow
@pytest.mark.parametrize("name", site_pages())
def test_a_page_is_whole_and_readable_for_all_without_a_network(inspected, name):
    trouble = inspected[name].result(timeout=300)
    assert not trouble, "\n".join(trouble)


def inspect_page(context, address, name):
    """Return what is wrong with a page, in light and dark, on a wide and a narrow screen."""
    tab, trouble = open_page(context, address, name)
    trouble += heaviness(tab) + broken_images(tab) + broken_links(tab, address) + broken_mathematics(tab)
    tab.set_viewport_size({"width": 390, "height": 800})
    width = tab.evaluate("() => document.documentElement.scrollWidth")
    if width > 391:
        trouble.append(f"is {width} pixels wide on a screen of 390")
    tab.set_viewport_size(WIDE)
    if "01_data" not in name:
        # What looks alike on all pages and in all rows is read once.
        tab.evaluate("""() => document.querySelectorAll('.highlight pre *, tbody tr:nth-child(n + 4)')
            .forEach(alike => alike.remove())""")
    for theme in ("light", "dark"):
        tab.emulate_media(color_scheme=theme)
        tab.wait_for_function("theme => document.documentElement.dataset.theme === theme", arg=theme)
        trouble += inaccessible(tab, theme)
    tab.close()
    return trouble


def test_a_chapter_opened_from_the_disk_shows_its_figures_and_formulas(browser):
    chapter = next(page for page in read_pages(ROOT) if page.is_chapter)
    context = browser.new_context(viewport=WIDE, color_scheme="light")
    tab, trouble = open_page(context, f"{SITE.as_uri()}/", f"{chapter.document}.html")
    trouble += broken_images(tab) + broken_mathematics(tab)
    tab.close()
    assert not trouble, "\n".join(trouble)


@pytest.mark.parametrize(("width", "scrolls"), [(WIDE["width"], False), (390, True)])
def test_a_figure_keeps_the_size_of_its_letters_on_a_phone_and_scrolls(browser, width, scrolls):
    tab = browser.new_page(viewport={"width": width, "height": 800})
    tab.goto(f"{SITE.as_uri()}/book/05_saliency.html")
    frame = tab.locator("figure.recorded a.enlarge").first
    frame.scroll_into_view_if_needed()
    size = frame.locator("img").bounding_box()["width"]
    shown, whole = frame.evaluate("link => [link.clientWidth, link.scrollWidth]")
    assert (whole > shown) == scrolls
    assert size >= 450
    assert tab.evaluate("() => document.documentElement.scrollWidth") <= width + 1
    tab.close()


@pytest.mark.slow
@pytest.mark.parametrize("width", [WIDE["width"], 390])
def test_the_meaning_of_a_term_comes_up_under_the_pointer_and_the_focus(browser, address, width):
    tab = browser.new_page(viewport={"width": width, "height": 800})
    tab.goto(f"{address}book/06_latent_probing.html")
    term = tab.locator("a.term").first

    def shown():
        return term.evaluate("link => getComputedStyle(link, '::after').display")

    assert shown() == "none"
    for show in (term.hover, term.focus):
        show()
        assert shown() == "block"
        assert tab.evaluate("() => document.documentElement.scrollWidth") <= width + 1
        tab.mouse.move(0, 0)
    tab.close()


def open_page(context, address, name):
    """Open a page that may ask for nothing beyond `address`; return its tab and a growing list of what went wrong."""
    trouble = []
    tab = context.new_page()

    def only_this_site(route):
        if route.request.url.startswith((address, "data:", "blob:")):
            route.continue_()
        else:
            trouble.append(f"asks for {route.request.url}")
            route.abort()

    tab.route("**/*", only_this_site)
    tab.on("console", lambda message: trouble.append(message.text) if message.type == "error" else None)
    tab.on("pageerror", lambda error: trouble.append(str(error)))
    tab.on("response", lambda reply: trouble.append(f"{reply.url}: {reply.status}") if reply.status >= 400 else None)
    tab.on("requestfailed", lambda request: trouble.append(f"could not load {request.url}"))
    tab.goto(address + name)
    tab.wait_for_load_state("networkidle")
    return tab, trouble


def inaccessible(tab, theme):
    """Return what axe finds on a page."""
    from axe_playwright_python.sync_playwright import Axe

    found = []
    # What is folded away is read too, and not while it fades in; nothing is preloaded, for axe would look for style
    # sheets in wrong places.
    tab.add_style_tag(content="* { animation: none !important; transition: none !important; }")
    tab.evaluate("() => document.querySelectorAll('details').forEach(details => { details.open = true })")
    # The inside of formulas is MathJax's; what does not depend on the theme is looked at once.
    options = {"preload": False, "resultTypes": ["violations"]}
    options |= {"runOnly": ["color-contrast"]} if theme == "dark" else {}
    for violation in Axe().run(tab, {"exclude": ["mjx-container > *"]}, options).response["violations"]:
        for node in violation["nodes"]:
            if not any(re.search(known, node["html"]) for known in KNOWN_OF_THE_THEME.get(violation["id"], ())):
                html = " ".join(node["html"].split())[:300]
                found.append(f"axe, {theme}: {violation['id']}: {violation['help']}: {html}")
    return found


def heaviness(tab):
    """Return a complaint of a page that is heavier than asked: what it loads when it opens, before compression."""
    weight = tab.evaluate("""() => performance.getEntries()
        .filter(entry => ['navigation', 'resource'].includes(entry.entryType))
        .reduce((total, entry) => total + entry.decodedBodySize, 0)""")
    return [f"weighs {weight} bytes; at most {MAX_WEIGHT}"] if weight > MAX_WEIGHT else []


def broken_images(tab):
    # Those below the first screen would be fetched when they come near.
    images = tab.evaluate("""() => Promise.all([...document.images].map(async image => {
        image.loading = 'eager';
        await image.decode().catch(() => {});
        return {source: image.src, alt: image.alt, whole: image.complete && image.naturalWidth > 0};
    }))""")
    missing = [f"broken image {image['source']}" for image in images if not image["whole"]]
    return missing + [f"no alt text: {image['source']}" for image in images if not image["alt"].strip()]


def broken_links(tab, address):
    targets = tab.evaluate("() => [...document.querySelectorAll('a[href]')].map(link => link.href)")
    broken = []
    for target in sorted(set(targets)):
        if target.startswith(address):
            fragment = unquote(urlsplit(target).fragment)
            file = SITE / unquote(urlsplit(target).path).lstrip("/")
            if not file.is_file():
                broken.append(f"link to nothing: {target}")
            elif fragment and not re.search(rf'(?:id|name)="{re.escape(fragment)}"', file.read_text(encoding="utf-8")):
                broken.append(f"link to no such place: {target}")
    return broken


def broken_mathematics(tab):
    formulas, set_in_type, errors = tab.evaluate("""() => [
        document.querySelectorAll('.math').length, document.querySelectorAll('mjx-container').length,
        [...document.querySelectorAll('mjx-merror, [data-mjx-error], mjx-container [fill="red"]')].map(e => e.outerHTML)
    ]""")
    trouble = [f"formula with an error: {error[:200]}" for error in errors]
    if tab.evaluate("() => 'MathJax' in window"):
        trouble.append("the page brings a program that draws its formulas")
    return trouble + (["formulas are not set"] if formulas != set_in_type else [])


def test_notebooks_to_download_have_their_numbers_in_the_text():
    if not (SITE / "index.html").exists():
        pytest.skip("there is no built site (make paper)")
    offered = [*(SITE / "downloads").glob("*.ipynb"), *(SITE / "_sources").rglob("*.ipynb")]
    assert len(offered) > 20
    for path in offered:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        prose = "".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
        assert not re.search(r"\{(?:glue:text|recorded|numref|claim)\}", prose), path


def test_results_json_of_the_site_is_that_of_the_build():
    if not (SITE / "index.html").exists():
        pytest.skip("there is no built site (make paper)")
    for path in (BUILD / "results").glob("*.json"):
        offered = SITE / "downloads" / path.name
        assert json.loads(offered.read_text()) == json.loads(path.read_text())


def test_no_page_shows_what_a_model_warned_of():
    if not (SITE / "index.html").exists():
        pytest.skip("there is no built site (make paper)")
    executed = list((BUILD / "notebooks").glob("*.ipynb"))
    assert len(executed) > 10
    for path in executed:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        warned = [output for cell in cells for output in cell.get("outputs", ()) if output.get("name") == "stderr"]
        assert not warned, f"{path.name}: {warned[0]['text']}"
