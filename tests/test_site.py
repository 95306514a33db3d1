"""The printed book: its links stay inside, and its bookmarks say their headings once."""

import re

from machinery.site import keep_links_inside, say_bookmarks_once


def test_links_of_a_printed_page_stay_inside_or_lead_to_the_web(browser, tmp_path):
    page = tmp_path / "paper.html"
    links = {
        "here": "#one",
        "there": "book/other.html#one",
        "gone": "book/other.html#two",
        "web": "https://example.org/",
    }
    anchors = "".join(f'<a id="{name}" href="{target}">{name}</a>' for name, target in links.items())
    page.write_text(f'<h1 id="one">One</h1>{anchors}<h2 id="one">Two</h2>', encoding="utf-8")
    tab = browser.new_page()
    tab.goto(page.as_uri())
    keep_links_inside(tab)
    found = {name: tab.locator(f"#{name}").get_attribute("href") for name in links}
    assert found == {"here": "#one", "there": "#one", "gone": None, "web": "https://example.org/"}
    assert tab.locator("[id=one]").count() == 1
    tab.close()


def test_bookmarks_say_their_headings_once_and_nothing_in_the_file_moves():
    titles = [b"Reading itReading it", b"An audit, and others that are notothers that are not", b"We said that that"]
    coded = "Recipe’s rowRecipe’s row".encode("utf-16-be").hex().upper()
    pdf = (
        b"".join(b"/Title (%b)\n" % title for title in titles)
        + b"/Title <FEFF%b>\nstream (It is it is)" % coded.encode()
    )
    once = say_bookmarks_once(pdf)
    assert len(once) == len(pdf)
    said = [title.rstrip() for title in re.findall(rb"\((.*?)\)", once)]
    assert said == [b"Reading it", b"An audit, and others that are not", b"We said that that", b"It is it is"]
    (coded,) = re.findall(rb"<FEFF(\w+)>", once)
    assert bytes.fromhex(coded.decode()).decode("utf-16-be").rstrip() == "Recipe’s row"
    assert say_bookmarks_once(once) == once
