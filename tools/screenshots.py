"""Photograph every page of the built site, wide and narrow, light and dark: ``python tools/screenshots.py FOLDER``."""

import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "book"))

from machinery.site import chromium  # noqa: E402

SITE = ROOT / "_build" / "html"
WIDTHS = (1280, 390)


def main(folder):
    """Write one png per page, width and theme to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        for theme in ("light", "dark"):
            for width in WIDTHS:
                tab = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=theme)
                for page in sorted((SITE / "book").glob("*.html")):
                    tab.goto(page.as_uri())
                    tab.wait_for_load_state("networkidle")
                    tab.screenshot(path=str(folder / f"{page.stem}-{width}-{theme}.png"), full_page=True)
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
