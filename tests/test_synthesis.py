"""The synthetic spectra: growth of lines, limits of flux and continuum, invariances."""

import os
import subprocess
import sys

import numpy as np
import pytest

from lux.simulation.layers import Physics
from lux.simulation.synthesis import line_strength, synthesize
from lux.spectroscopy.instrument import nearest_pixel, pixel_of
from lux.spectroscopy.lines import LineList, combine, lines_of, load_lines


def test_excited_levels_follow_boltzmann():
    lines = lines_of("Fe").within(15500.0, 15600.0)
    strength = line_strength([4000.0, 5000.0], [2.0, 2.0], [0.0, 0.0], lines=lines)
    assert np.all(np.isfinite(strength))
    gain = np.log(strength[1] / strength[0])
    neutral = lines.ion == 0
    assert np.corrcoef(gain[neutral], lines.excitation[neutral])[0, 1] > 0.95


def planted(log_gf, wavelength=15960.0):
    """An Fe I line alone in the spectrum."""
    columns = {
        "wavelength": [wavelength],
        "species": ["Fe I"],
        "element": ["Fe"],
        "ion": [0],
        "excitation": [5.5],
        "log_gf": [log_gf],
        "damping": [0.0],
        "isotope": [""],
        "source": ["planted"],
    }
    return LineList(**{name: np.array(values) for name, values in columns.items()})


def equivalent_width(log_gf, **options):
    flux = synthesize(4500.0, 2.0, 0.0, lines=planted(log_gf), pseudo_continuum=False, **options)
    return float(np.sum(1.0 - flux[0].astype(float)))


def test_a_weak_line_grows_in_proportion_and_a_strong_line_saturates():
    weak = [equivalent_width(log_gf) for log_gf in (-3.0, -2.7)]
    assert np.log10(weak[1] / weak[0]) == pytest.approx(0.3, abs=0.02)
    strong = [equivalent_width(log_gf) for log_gf in (0.5, 0.8)]
    assert np.log10(strong[1] / strong[0]) < 0.15


def test_microturbulence_desaturates_strong_lines_only():
    calm, turbulent = (Physics(microturbulence=(speed, 0.0, 0.0)) for speed in (1.0, 3.0))
    assert equivalent_width(0.5, physics=turbulent) > 1.2 * equivalent_width(0.5, physics=calm)
    assert equivalent_width(-3.0, physics=turbulent) == pytest.approx(equivalent_width(-3.0, physics=calm), rel=0.01)


def test_a_line_appears_where_it_belongs():
    flux = synthesize(4500.0, 2.0, 0.0, lines=planted(-1.0, 16200.25), pseudo_continuum=False)[0]
    expected = pixel_of(16200.25)
    window = np.arange(int(expected) - 15, int(expected) + 17)
    depth = 1.0 - flux[window].astype(float)
    assert np.sum(depth * window) / depth.sum() == pytest.approx(expected, abs=0.02)
    assert np.sum(depth) == pytest.approx(np.sum(1.0 - flux.astype(float)), rel=0.05)


def test_flux_is_positive_and_below_the_true_continuum():
    teff, logg, m_h = np.array([3700.0, 4500.0, 5500.0]), np.array([0.5, 2.0, 3.5]), np.array([0.3, -0.5, -2.0])
    flux = synthesize(teff, logg, m_h, pseudo_continuum=False)
    assert flux.dtype == np.float32
    assert flux.shape == (3, 8575)
    assert flux.min() > 0.05
    assert flux.max() <= 1.0 + 1e-5


def test_pseudo_continuum_lifts_crowded_spectra_but_stays_close():
    flux = synthesize(4300.0, 1.8, 0.2)[0]
    true = synthesize(4300.0, 1.8, 0.2, pseudo_continuum=False)[0]
    assert 1.0 < np.median(flux / true) < 1.10


def test_carbon_monoxide_bands_weaken_with_temperature():
    flux = synthesize(np.array([4000.0, 4600.0, 5200.0]), 2.0, 0.0, lines=lines_of("CO"), pseudo_continuum=False)
    assert np.all(np.diff(1.0 - flux.mean(axis=1)) < 0)


def test_each_element_deepens_its_own_lines():
    elements = ("Na", "Mg", "Al", "Si", "S", "K", "Ca", "Ti", "V", "Cr", "Mn", "Co", "Ni", "Cu", "Ce", "Nd", "Yb", "Rb")
    lines = load_lines()
    star = np.arange(len(elements) + 1)
    enhanced = {element: 0.5 * (star == index) for index, element in enumerate(elements, start=1)}
    spectra = synthesize(np.full(len(star), 4500.0), 2.0, 0.0, abundances=enhanced, pseudo_continuum=False)
    for index, element in enumerate(elements, start=1):
        own = lines_of(element, lines)
        own = own[np.isfinite(own.log_gf)].within(15120.0, 16980.0)
        strongest = own.wavelength[line_strength(4500.0, 2.0, 0.0, lines=own)[0].argmax()]
        change = spectra[index] - spectra[0]
        pixel = int(nearest_pixel(strongest))
        assert change[pixel - 2 : pixel + 3].min() < -2e-4


def test_europium_changes_nothing():
    without = synthesize(4500.0, 2.0, 0.0)
    assert np.array_equal(without, synthesize(4500.0, 2.0, 0.0, abundances={"Eu": 2.0}))


def test_alpha_moves_the_alpha_elements_unless_one_is_given():
    moved = synthesize(4500.0, 2.0, -0.5, 0.3)
    given = synthesize(4500.0, 2.0, -0.5, 0.0, {element: 0.3 for element in ("O", "Mg", "Si", "S", "Ca", "Ti")})
    np.testing.assert_array_equal(moved, given)
    assert np.abs(moved - synthesize(4500.0, 2.0, -0.5, 0.0)).max() > 0.01


def test_brackett_lines_are_broad_and_grow_with_temperature():
    flux = synthesize(np.array([4300.0, 5200.0]), 2.5, -2.0, pseudo_continuum=False)
    bracket = slice(int(pixel_of(16805.0)), int(pixel_of(16817.0)))
    depth = 1.0 - flux[:, bracket].mean(axis=1)
    assert depth[1] > depth[0] > 0.01


def test_a_star_is_the_same_alone_and_in_company_and_twice():
    rng = np.random.default_rng(0)
    labels = rng.uniform(4000, 5200, 70), rng.uniform(1, 3, 70), rng.uniform(-1, 0.3, 70)
    together = synthesize(*labels)
    alone = synthesize(*(values[41:42] for values in labels))
    np.testing.assert_allclose(alone[0], together[41], atol=1e-6)
    np.testing.assert_array_equal(together, synthesize(*labels))


def test_a_line_list_without_a_species_equals_zero_abundance():
    kept = load_lines()
    kept = kept[kept.element != "Al"]
    absent = synthesize(4500.0, 2.0, 0.0, lines=kept, pseudo_continuum=False)
    starved = synthesize(
        4500.0, 2.0, 0.0, abundances={"Al": -9.0}, lines=combine(kept, lines_of("Al")), pseudo_continuum=False
    )
    # Aluminium also gives electrons: allow for the slight change of the continuous opacity.
    assert np.abs(absent - starved).max() < 0.02
    assert len(lines_of("Al").within(16722.5, 16724.5)) > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.array([4500.0, np.nan]), 2.0, 0.0), "teff of star 1"),
        ((4500.0, 9.0, 0.0), "logg of star 0"),
        ((np.full(3, 4500.0), np.full(2, 2.0), 0.0), "broadcast"),
    ],
)
def test_wrong_labels_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        synthesize(*arguments)


def test_unknown_elements_are_named():
    with pytest.raises(ValueError, match="Xx"):
        synthesize(4500.0, 2.0, 0.0, abundances={"Xx": 0.0})


@pytest.mark.slow
def test_the_flux_is_the_same_under_other_instructions_and_switches_of_jax(tmp_path):
    """Rounding in single precision decided which pixels the pseudo-continuum clips, and moved spectra by 1e-4."""
    script = "import sys, numpy; from lux.simulation.synthesis import synthesize\n"
    script += "numpy.save(sys.argv[1], synthesize(numpy.linspace(4000, 5000, 8), 2.0, -0.3))"
    other = {"XLA_FLAGS": "--xla_cpu_max_isa=SSE4_2", "JAX_ENABLE_X64": "1", "OPENBLAS_CORETYPE": "Nehalem"}
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "flux.npy")], env={**os.environ, **other}, check=True)
    flux = synthesize(np.linspace(4000, 5000, 8), 2.0, -0.3)
    assert np.mean(np.load(tmp_path / "flux.npy") == flux) > 0.9999
    np.testing.assert_allclose(np.load(tmp_path / "flux.npy"), flux, atol=1e-7)
