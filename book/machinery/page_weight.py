"""What a page of the built site weighs: formulas drawn beforehand, and pictures in the smaller of two forms."""

import itertools
import os
import re
from concurrent.futures import ThreadPoolExecutor

from PIL import Image

from machinery.errors import BuildError

# Bytes; a smaller picture is left as it is.
_HEAVY = 50_000
_SEARCH = re.compile(r'\s*<script src="[^"]*(?:searchtools|language_data|searchindex)\.js"[^>]*></script>')
_PICTURE = re.compile(r'(<img [^>]*src="[^"]*_images/)([^"/]+)\.png"')
_FORMULA = re.compile(r'(<(span|div)(?: tabindex="0")? class="math [^>]*>)(.*?)(</\2>)', re.DOTALL)
_PROGRAM = re.compile(r'<script[^>]* src="[^"]*/mathjax/[^"]*"></script>\s*')
_OPTIONS = re.compile(r"<script>window\.MathJax = .*?</script>\s*", re.DOTALL)
_DRAWN = """async () => {
    await MathJax.startup.promise;
    const rules = document.getElementById('MJX-CHTML-styles').sheet.cssRules;
    return {
        formulas: [...document.querySelectorAll('.math')].map(each => each.innerHTML),
        style: [...rules].map(rule => rule.cssText).join('\\n'),
        elsewhere: [...document.querySelectorAll('mjx-container')].filter(each => !each.closest('.math')).length,
    };
}"""


def draw_formulas(site, program):
    """Let a browser draw the formulas of all pages of a built site, and keep what it drew.

    Parameters
    ----------
    site : Path
        Folder of the built pages.
    program : str
        Path of Chromium.

    Raises
    ------
    BuildError
        If the browser finds other formulas than the page has.
    """
    from playwright.sync_api import sync_playwright

    pages = [path for path in sorted(site.rglob("*.html")) if _PROGRAM.search(path.read_text(encoding="utf-8"))]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        tab = browser.new_page()
        for path in pages:
            tab.goto(path.as_uri())
            path.write_text(_with_drawn(path, site, tab.evaluate(_DRAWN)), encoding="utf-8")
        browser.close()
    for path in (site / "_static" / "mathjax").glob("*.js"):
        path.unlink()


def shrink_pictures(site):
    """Let pages show pictures as lossless WebP where that is smaller; the PNG stays for who opens or downloads it.

    Parameters
    ----------
    site : Path
        Folder of the built pages.
    """
    pictures = list((site / "_images").glob("*.png"))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        smaller = {path.stem for path in itertools.compress(pictures, pool.map(_is_smaller_as_webp, pictures))}

    def shown(picture):
        return f'{picture[1]}{picture[2]}.webp"' if picture[2] in smaller else picture[0]

    for path in site.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        path.write_text(_PICTURE.sub(shown, text), encoding="utf-8")


def leave_search_to_its_page(site):
    """Take the index of the search, and its scripts, from all pages but the one that searches.

    The theme adds them everywhere for a search at each letter typed, which is off here.

    Parameters
    ----------
    site : Path
        Folder of the built pages.
    """
    for path in site.rglob("*.html"):
        if path.name != "search.html":
            path.write_text(_SEARCH.sub("", path.read_text(encoding="utf-8")), encoding="utf-8")


def _is_smaller_as_webp(path):
    """Write a picture as WebP beside itself, and return whether that helps."""
    if path.stat().st_size < _HEAVY:
        return False
    webp = path.with_suffix(".webp")
    with Image.open(path) as picture:
        picture.save(webp, lossless=True)
    return webp.stat().st_size < path.stat().st_size


def _with_drawn(path, site, drawn):
    """Return a page with formulas, and their style, in place of the program."""
    text = path.read_text(encoding="utf-8")
    found = len(_FORMULA.findall(text))
    if drawn["elsewhere"] or found != len(drawn["formulas"]):
        raise BuildError(
            f"{path.relative_to(site)}: the browser drew {len(drawn['formulas'])} formulas and {drawn['elsewhere']} "
            f"outside of their places, where the page has {found}"
        )
    formulas = iter(drawn["formulas"])
    text = _FORMULA.sub(lambda formula: f"{formula[1]}{next(formulas)}{formula[4]}", text)
    text = _OPTIONS.sub("", _PROGRAM.sub("", text))
    # The program gives the fonts' addresses on this machine.
    root = os.path.relpath(site, path.parent).replace(os.sep, "/")
    style = drawn["style"].replace(site.as_uri(), root)
    return text.replace("</head>", f"<style>{style}</style>\n</head>", 1)
