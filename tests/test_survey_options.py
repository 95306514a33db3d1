"""Options that make the synthetic survey less kind: what each changes, and what it leaves as it was."""

import numpy as np
import pytest

from lux.simulation.observation import Observation, draw_label_noise, is_upper_limit, shared_share, telluric_lines
from lux.simulation.population import R_PROCESS_FRACTION, draw_stars, with_r_process_neighbors
from lux.simulation.synthetic import make_survey
from lux.spectroscopy.profiles import rest_pixel

N_STARS, SEED = 200, 4
# Around the strongest telluric lines, and around a line of ytterbium.
WINDOWS = [(16008, 16042), (16498, 16508)]
LABELS = ("teff", "logg", "fe_h", "alpha_fe", "eu_fe")


def survey(**options):
    return make_survey(N_STARS, SEED, wavelength_range=WINDOWS, **options)


@pytest.fixture(scope="module")
def plain():
    return survey()


def assert_equal_but_for(one, other, *changed):
    for name in {"flux", "ivar", "labels", "label_err"} - set(changed):
        assert np.array_equal(getattr(one, name), getattr(other, name), equal_nan=True), name


def test_telluric_residuals_are_in_the_flux_alone_and_stand_still_for_the_observer(plain):
    other = survey(telluric_amplitude=0.05)
    assert_equal_but_for(other, plain, "flux")
    wavelength, strength = telluric_lines()
    change = np.where(plain.ivar > 0, other.flux - plain.flux, 0)
    strong = (np.abs(wavelength - 16025) < 8) & (strength > 0.5)
    places = rest_pixel(wavelength[strong], plain.truth.columns["observed_velocity"])
    pixels = np.rint(rest_pixel(plain.wavelength, np.zeros(1))[0]).astype(int)
    rows = np.arange(N_STARS)
    at_lines = np.stack([change[rows, np.abs(pixels - place[:, None]).argmin(axis=1)] for place in places.T])
    assert strong.sum() >= 3
    # One factor a star: all lines of a star go up or down together.
    seen = np.all(at_lines != 0, axis=0)
    assert np.corrcoef(at_lines[:, seen])[0, 1:].min() > 0.95
    assert np.std(at_lines[0, seen]) == pytest.approx(0.05 * strength[strong][0], rel=0.25)


def test_telluric_bands_are_those_of_carbon_dioxide():
    wavelength, strength = telluric_lines()
    assert len(wavelength) == 2 * 61
    assert strength.max() == 1
    # Rigid rotor, even J only: neighbors of a branch are 4 B apart, the band center is empty.
    branch = np.sort(1e8 / wavelength)
    assert np.median(np.diff(branch)) == pytest.approx(4 * 0.39, rel=1e-6)
    assert not np.any(np.abs(branch - 6228.0) < 0.7)


def test_upper_limits_are_missing_where_europium_is_weak_the_spectrum_poor_or_the_star_hot(plain):
    other = survey(least_europium=-0.5)
    assert_equal_but_for(other, plain, "labels")
    lost = np.isnan(other.label("eu_fe"))
    assert 0.1 < lost.mean() < 0.5
    assert np.array_equal(other.labels[:, :4], plain.labels[:, :4])
    assert np.array_equal(other.labels[~lost], plain.labels[~lost])
    columns = plain.truth.columns
    for values in (columns["eu_fe"] + columns["fe_h"], plain.catalogue["galah_snr"], -columns["teff"]):
        assert np.mean(values[lost]) < np.mean(values[~lost])
    limit = Observation(least_europium=-0.5)
    eu_h = np.array([-0.49, -0.51, -0.51, -0.51])
    cases = np.array([4600, 4600, 4550, 4600]), np.array([80, 80, 80, 90])
    assert is_upper_limit(eu_h, *cases, limit).tolist() == [False, True, False, False]


def test_shared_label_errors_have_the_stated_size_and_correlate_in_cool_stars():
    stars = draw_stars(20_000, SEED)
    observation = Observation(shared_label_errors=0.6)
    share = shared_share(stars.teff, observation)
    noise = draw_label_noise(len(stars), LABELS, SEED, share)
    np.testing.assert_allclose(noise.std(axis=0), 1, atol=0.02)
    cool, hot = stars.teff < 4200, stars.teff > 5000
    sign = np.array([1, 1, 1, -1, -1])
    for stars_of, group in ((cool, "cool"), (hot, "hot")):
        expected = np.mean(share[stars_of]) * np.outer(sign, sign)[np.triu_indices(5, 1)]
        found = np.corrcoef(noise[stars_of].T)[np.triu_indices(5, 1)]
        np.testing.assert_allclose(found, expected, atol=0.06, err_msg=group)
    assert np.mean(share[cool]) > 0.4 > 0.15 > np.mean(share[hot])


def test_shared_label_errors_change_labels_alone_and_a_leak_follows_them(plain):
    other = survey(shared_label_errors=0.6)
    assert_equal_but_for(other, plain, "labels")
    leaks = [make_survey(60, SEED, "leak", shared_label_errors=share) for share in (0.0, 0.9)]
    for leak in leaks:
        pixel = np.argmin(np.abs(leak.wavelength - 15692.9))
        without = make_survey(60, SEED, "shortcut").flux[:, pixel]
        noise = (leak.label("eu_fe") - leak.truth.columns["eu_fe"]) / leak.label_err[:, 4]
        good = leak.ivar[:, pixel] > 0
        assert np.corrcoef((leak.flux[:, pixel] - without)[good], noise[good])[0, 1] < -0.99


def test_neighbors_follow_europiums_own_scatter_by_their_r_process_fraction():
    stars = draw_stars(20_000, SEED, r_enhanced_fraction=0.0)
    other = with_r_process_neighbors(stars)
    own = stars.label("eu_fe") - stars.eu_expected
    for element, fraction in (("Ce", 0.19), ("Nd", 0.42), ("Yb", 0.68)):
        assert R_PROCESS_FRACTION[element] == fraction
        change = other.abundances[element] - stars.abundances[element]
        assert np.polyfit(own, change, 1)[0] == pytest.approx(fraction, abs=0.02)
        # A star with ten times as much europium has 1 + 9 f times as many atoms.
        rich = with_r_process_neighbors(stars.with_abundance("Eu", stars.eu_expected + 1.0))
        raised = rich.abundances[element] - stars.abundances[element]
        np.testing.assert_allclose(raised, np.log10(1 + 9 * fraction))
    for element in ("Eu", "Fe", "Mg", "O"):
        assert element not in stars.abundances or other.abundances[element] is stars.abundances[element]


def test_neighbors_change_the_flux_at_their_own_lines_alone(plain):
    other = survey(r_process_neighbors=True)
    assert_equal_but_for(other, plain, "flux")
    assert other.provenance["r_process_neighbors"]
    change = np.abs(other.flux - plain.flux).max(axis=0)
    ytterbium = np.abs(plain.wavelength - 16502.907) < 2
    assert change[ytterbium].max() > 1e-4
    assert change[(plain.wavelength > 16400) & ~ytterbium].max() < change[ytterbium].max() / 5


def test_the_options_are_off_by_default_and_refused_out_of_range():
    observation = Observation()
    assert observation.telluric_amplitude == observation.shared_label_errors == 0
    assert observation.least_europium is None
    for options in ({"telluric_amplitude": -0.1}, {"shared_label_errors": 1.0}):
        with pytest.raises(ValueError, match=next(iter(options))):
            Observation(**options)
