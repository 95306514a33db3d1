"""The real lines of heavy elements are weak in the reference star, and only those of known strength have a depth."""

import numpy as np
import pytest

from lux.simulation.heavy_species import natural_depths, reference_abundance, species_wavelengths
from lux.simulation.population import ELEMENTS, draw_stars


def test_ytterbium_takes_half_a_percent_of_the_flux_at_its_line():
    assert species_wavelengths("Yb II") == pytest.approx((16502.907,), abs=0.01)
    assert natural_depths("Yb II")[0] == pytest.approx(0.0050, rel=0.05)


def test_a_line_of_known_position_alone_is_left_out():
    assert len(species_wavelengths("Nd II")) == len(natural_depths("Nd II")) == 3
    with pytest.raises(ValueError, match=r"no lines of known strength for 'Cs I'; choose one of Ce II, Nd II"):
        species_wavelengths("Cs I")


@pytest.mark.parametrize("element", ["Ce", "Nd", "Yb"])
def test_the_reference_abundance_is_near_the_mean_of_the_disc(element):
    stars = draw_stars(4000, 0)
    assert reference_abundance(element) == pytest.approx(np.mean(stars.abundances[element]), abs=ELEMENTS[element][3])
