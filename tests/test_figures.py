"""Drawing: spectra break where there is no spectrum, lines are named beside each other, settings stay the user's."""

import os
import subprocess
import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest

from lux import figures


@pytest.fixture
def axis():
    fig, axis = figures.new_figure()
    yield axis
    plt.close(fig)


def test_a_spectrum_breaks_at_chip_gaps_and_masked_pixels():
    wavelength = np.array([1.0, 2.0, 3.0, 10.0, 11.0, 12.0])
    x, y = figures.with_gaps(wavelength, np.ones(6), good=np.array([True, True, True, True, False, True]))
    assert np.isnan(y[3])
    assert 3.0 < x[3] < 10.0
    assert np.isnan(y[x == 11.0]).all()
    assert np.isfinite(y[x == 12.0]).all()
    assert len(x) == 7


def test_the_error_band_is_one_standard_error_wide(axis):
    wavelength = np.arange(100.0)
    figures.spectrum_panel(axis, wavelength, np.ones(100), ivar=np.full(100, 25.0))
    heights = axis.collections[0].get_paths()[0].vertices[:, 1]
    assert heights.min() == pytest.approx(0.8)
    assert heights.max() == pytest.approx(1.2)
    assert axis.get_xlabel() == "vacuum wavelength (Å)"


def test_marks_stand_at_their_lines_inside_the_panel_and_neighbours_do_not_collide(axis):
    axis.set_xlim(15000, 15100)
    figures.mark_lines(axis, [(15050.0, "Ce II"), (15051.0, "Fe I"), (15090.0, "Si I"), (15500.0, "Yb II")])
    assert [text.get_text() for text in axis.texts] == ["Ce II", "Fe I", "Si I"]
    heights = [text.get_position()[1] for text in axis.texts]
    assert heights[0] != heights[1]
    assert heights[0] == heights[2]


def test_names_of_lines_stay_inside_the_panel_and_neighbours_of_one_species_share_one(axis):
    axis.set_xlim(15000, 15100)
    figures.mark_lines(axis, [(15000.5, "Yb II"), (15050.0, "Rb I"), (15050.5, "Rb I"), (15099.8, "Ce II")])
    assert [text.get_text() for text in axis.texts] == ["Yb II", "Rb I", "Ce II"]
    assert [line.get_xdata()[0] for line in axis.lines] == [15000.5, 15050.0, 15050.5, 15099.8]
    axis.figure.draw_without_rendering()
    for text in axis.texts:
        box = text.get_window_extent()
        assert axis.bbox.x0 < box.x0 < box.x1 < axis.bbox.x1


def test_one_to_one_has_equal_axes_and_leaves_out_missing_labels(axis):
    figures.one_to_one(axis, [0.0, 1.0, np.nan], [0.1, 0.9, 0.5], name="eu_fe")
    assert axis.get_xlim() == axis.get_ylim()
    assert len(axis.collections[0].get_offsets()) == 2
    assert axis.get_ylabel() == "predicted [Eu/Fe] (dex)"


def test_importing_and_drawing_leave_the_settings_of_matplotlib_to_the_user():
    code = """
import os
import subprocess
import sys

import matplotlib.pyplot as plt
before = dict(plt.rcParams)
from lux import figures
plt.close(figures.new_figure()[0])
assert dict(plt.rcParams) == before
with figures.paper_style():
    assert plt.rcParams["savefig.dpi"] == 220
"""
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "MPLBACKEND": "Agg"})
