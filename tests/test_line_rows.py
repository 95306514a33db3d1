"""The rows of a list of lines are found in any encoding, with or without a title and comments, and are numbers."""

import numpy as np
import pytest
from line_lists import EUROPIUM, KURUCZ, LONG_ALL, MOOG, SHORT_STELLAR, written

from lux.spectroscopy.lines import LineList, air_to_vacuum


@pytest.mark.parametrize(
    "text", [SHORT_STELLAR, LONG_ALL, MOOG, KURUCZ, "wl species\n6646.939 FeI\n", "wl\n6646.939\n"]
)
def test_a_mark_of_the_order_of_bytes_changes_nothing(tmp_path, text):
    for name in ("lines.txt", *["lines.csv"] * text.startswith("wl\n")):
        marked = LineList.read(written(tmp_path, "\ufeff" + text, name))
        np.testing.assert_array_equal(marked.species, LineList.read(written(tmp_path, text, name)).species)


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252"])
def test_a_title_may_be_in_the_encodings_of_windows(tmp_path, encoding):
    title = "\u00c5ngstr\u00f6m" + " \u2026 \u2013" * (encoding == "cp1252")
    path = tmp_path / "lines.txt"
    path.write_bytes(MOOG.replace("europium and its neighbors", title).encode(encoding))
    assert LineList.read(path).species.tolist() == LineList.read(written(tmp_path, MOOG, "utf.txt")).species.tolist()


def test_a_list_of_moog_may_lack_a_title_or_have_several_comments(tmp_path):
    title, rows = MOOG.split("\n", 1)
    listed = LineList.read(written(tmp_path, MOOG))
    for text in (rows, f"# one\n# two\n{rows}", f"# one\n{title}\n# two\n{rows}"):
        np.testing.assert_array_equal(LineList.read(written(tmp_path, text)).wavelength, listed.wavelength)


def test_exponents_of_double_precision_of_fortran_are_numbers(tmp_path):
    lines = LineList.read(written(tmp_path, "title\n 0.6645104D+04 63.1 1.38d0 0.120D0\n"))
    np.testing.assert_allclose([lines.excitation[0], lines.log_gf[0]], [1.38, 0.12])
    np.testing.assert_allclose(lines.wavelength, air_to_vacuum(EUROPIUM))
