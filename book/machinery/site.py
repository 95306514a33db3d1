"""Turn the staged tree into the website and the PDF, and put them in place whole."""

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys

from machinery.errors import BuildError
from machinery.page_weight import draw_formulas, leave_search_to_its_page, shrink_pictures

_STAMP = ".stamp"
_FOOTER = (
    '<div style="width: 100%; text-align: center; font-size: 8px; font-family: sans-serif">'
    '<span class="title"></span> · <span class="pageNumber"></span> / <span class="totalPages"></span></div>'
)
# Title of a bookmark, without what ends it.
_BOOKMARK = re.compile(rb"(/Title )(\((?:\\.|[^\\)])*|<FEFF[0-9A-F]+)([)>])", re.DOTALL)
# Characters; what is repeated in a heading by its author is shorter.
_REPEATED = 6
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_IN_NOTEBOOK = re.compile(r"(\S+)\.ipynb:(\d+)(\d{4})")


def build_site(staged, digest, settings, *, strict, say):
    """Build the HTML with warnings as errors (unless not `strict`) and return the path of its first page.

    Nothing is done where the site already shows this very tree.
    """
    site = settings.build / "html"
    stamp = site / _STAMP
    first_page = site / "index.html"
    if stamp.exists() and stamp.read_text() == digest + _pages_digest(site):
        say("The site is up to date.")
        return first_page
    built = _jupyter_book(staged, settings, "html", strict)
    shutil.copytree(staged / "downloads", built / "downloads", dirs_exist_ok=True)
    for path in (built / "_sources").rglob("*.ipynb"):
        # What the button at the head of a page offers: the one that Jupyter can show.
        if (plain := built / "downloads" / path.name).exists():
            shutil.copy(plain, path)
    if (program := chromium()) and importlib.util.find_spec("playwright"):
        draw_formulas(built, program)
    else:
        say("Each page draws its formulas itself, and weighs twice as much for it: there is no Chromium here.")
    shrink_pictures(built)
    leave_search_to_its_page(built)
    (built / _STAMP).write_text(digest + _pages_digest(built))
    _put_in_place(built, site)
    return first_page


def build_pdf(staged, digest, settings, say):
    """Print the book as one tagged PDF with headless Chromium and return its path."""
    pdf = settings.build / "paper.pdf"
    stamp = settings.build / "paper.pdf.stamp"
    if pdf.exists() and stamp.exists() and stamp.read_text() == digest:
        say("The PDF is up to date.")
        return pdf
    stamp.unlink(missing_ok=True)
    built = _jupyter_book(staged, settings, "singlehtml", strict=False)
    # Sphinx writes this page for the root of the site but puts it into the folder of the first document.
    page = (built / "book" / "index.html").rename(built / "paper.html")
    temporary = pdf.with_suffix(".part")
    _print(page, temporary)
    temporary.write_bytes(say_bookmarks_once(temporary.read_bytes()))
    os.replace(temporary, pdf)
    stamp.write_text(digest)
    return pdf


def chromium():
    """Return the path of a Chromium or Chrome, or None; ``$CHROMIUM`` names one elsewhere."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)


def _pages_digest(site):
    """Hash the pages as written, for `jupyter-book build .` puts its own into the same folder."""
    digest = hashlib.sha256()
    for path in sorted(site.rglob("*.html")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _jupyter_book(staged, settings, builder, strict):
    work = settings.build / "sphinx" / builder
    shutil.rmtree(work, ignore_errors=True)
    program = os.path.join(os.path.dirname(sys.executable), "jupyter-book")
    command = [program, "build", str(staged), "--all", "--path-output", str(work), "--builder", builder]
    command += ["-W", "-n", "--keep-going"] if strict else ["-n", "--keep-going"]
    log = settings.build / f"{builder}.log"
    # The pages on the package import it: the one whose paper this is.
    search_path = os.pathsep.join([str(settings.root), *filter(None, [os.environ.get("PYTHONPATH")])])
    result = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": search_path})
    complaints = _COLOUR.sub("", result.stderr)
    log.write_text(_COLOUR.sub("", result.stdout) + complaints, encoding="utf-8")
    if result.returncode:
        lines = [line for line in complaints.splitlines() if "WARNING" in line or "ERROR" in line]
        if not lines:
            lines = [line for line in complaints.splitlines() if re.match(r"\w+(?:Error|Exception)\b|Exception", line)]
        shown = "\n".join(_at_source(line, staged) for line in lines or complaints.splitlines()[-20:])
        raise BuildError(f"jupyter-book failed; its whole output is in {log}\n{shown}")
    return work / "_build" / builder


def _at_source(complaint, staged):
    """Name the source instead of the staged notebook; MyST-NB counts lines as 10000 times the cell plus the line."""
    complaint = complaint.replace(f"{staged}{os.sep}", "")
    return _IN_NOTEBOOK.sub(lambda found: f"{found[1]}.md (cell {found[2]}, line {int(found[3])})", complaint)


def _put_in_place(built, site):
    doomed = site.with_name("html-replaced")
    shutil.rmtree(doomed, ignore_errors=True)
    if site.exists():
        site.rename(doomed)
    built.rename(site)
    shutil.rmtree(doomed, ignore_errors=True)


def keep_links_inside(tab):
    """Let links to files of this machine jump inside the page, or be text where what they lead to is not on it.

    Pages that had a name in common are one now: the first keeps it.
    """
    tab.evaluate("""() => {
        const names = new Set();
        for (const named of document.querySelectorAll('[id]')) {
            if (names.has(named.id)) named.removeAttribute('id');
            names.add(named.id);
        }
        for (const link of document.querySelectorAll('a[href]')) {
            if (!link.href.startsWith('file:')) continue;
            const place = link.href.split('#')[1];
            if (place && document.getElementById(decodeURIComponent(place))) link.setAttribute('href', '#' + place);
            else link.removeAttribute('href');
        }
    }""")


def say_bookmarks_once(pdf):
    """Return the bytes of a PDF whose bookmarks say their headings once.

    Chromium writes a heading, or its last line, twice where it moved to the next page. What is taken away is made up
    for by spaces, so that everything in the file stays where it is.
    """
    return _BOOKMARK.sub(lambda found: found[1] + _once(found[2]) + found[3], pdf)


def _once(title):
    """Return what a bookmark says, (text or <FEFF and digits of UTF-16, without a repetition that it ends with."""
    if title.startswith(b"("):
        return b"(" + _without_repetition(title[1:].decode("latin-1")).encode("latin-1")
    text = bytes.fromhex(title[5:].decode()).decode("utf-16-be")
    return b"<FEFF" + _without_repetition(text).encode("utf-16-be").hex().upper().encode()


def _without_repetition(text):
    for start in range(len(text) - 1):
        length, odd = divmod(len(text) - start, 2)
        end = start + length
        by_chance = start > 0 and (length < _REPEATED or text[start] == " ")
        if not odd and text[start:end] == text[end:] and not by_chance:
            return text[:end] + " " * length
    return text


def _print(page, pdf):
    from playwright.sync_api import sync_playwright

    program = chromium()
    if program is None:
        raise BuildError("make pdf needs Chromium (Debian: apt-get install chromium); or set $CHROMIUM to its path")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        tab = browser.new_page()
        tab.goto(page.as_uri())
        tab.wait_for_load_state("networkidle")
        tab.evaluate("() => window.MathJax ? MathJax.startup.promise : null")
        keep_links_inside(tab)
        tab.pdf(
            path=str(pdf),
            format="A4",
            tagged=True,
            outline=True,
            print_background=True,
            display_header_footer=True,
            header_template="<span></span>",
            footer_template=_FOOTER,
            margin={"top": "18mm", "bottom": "18mm", "left": "16mm", "right": "16mm"},
        )
        browser.close()
