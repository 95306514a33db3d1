"""The stars of the synthetic survey against the facts they were drawn from."""

import numpy as np
import pytest

from lux.simulation.population import (
    ELEMENTS,
    EUROPIUM_PLATEAU,
    LOGG_LIMITS,
    POPULATIONS,
    TEFF_LIMITS,
    disc_moments,
    draw_stars,
    expected_enhanced,
    expected_europium,
)

MANY = 20_000


@pytest.fixture(scope="module")
def disc():
    return draw_stars(MANY, 1, r_enhanced_fraction=0.0)


def explained(stars, target):
    columns = np.column_stack([np.ones(len(stars)), stars.fe_h, stars.alpha_fe])
    residual = target - columns @ np.linalg.lstsq(columns, target, rcond=None)[0]
    return 1 - np.var(residual) / np.var(target)


def test_a_perfect_shortcut_explains_most_of_europium(disc):
    """At tau = 0.06: of the true variance and of that of labels with errors of 0.075 dex, by the relation and linearly.

    The plateau takes some of what the straight relation explained, 0.84 and 0.67.
    """
    true = disc.label("eu_fe")
    noisy = true + 0.075 * np.random.default_rng(0).standard_normal(MANY)
    moments = disc_moments(0.06)
    assert moments["explained"] == pytest.approx(0.81, abs=0.01)
    assert moments["explained"] - 0.02 < explained(disc, true) < moments["explained"]
    assert explained(disc, noisy) == pytest.approx(0.61, abs=0.02)


def test_europium_over_iron_has_a_plateau_at_low_metallicity():
    rising, flat = expected_europium([-0.6, -0.5], 0.2), expected_europium([-2.0, -1.0, EUROPIUM_PLATEAU], 0.2)
    assert np.diff(rising)[0] == pytest.approx(-0.035)
    np.testing.assert_allclose(flat, flat[-1])
    assert flat[-1] > rising[0]


@pytest.mark.parametrize("tau", [0.03, 0.06, 0.10])
def test_analytic_moments_agree_with_a_large_draw(tau):
    stars = draw_stars(MANY, 2, tau=tau, r_enhanced_fraction=0.0)
    moments = disc_moments(tau)
    assert np.mean(stars.label("eu_fe")) == pytest.approx(moments["eu_fe_mean"], abs=0.005)
    assert np.std(stars.label("eu_fe")) == pytest.approx(moments["eu_fe_std"], rel=0.03)
    share = np.var(stars.eu_expected) / np.var(stars.label("eu_fe"))
    assert share == pytest.approx(moments["explained"], abs=0.02)
    assert np.mean(stars.label("eu_fe") + stars.fe_h) == pytest.approx(moments["eu_h_mean"], abs=0.008)
    assert np.std(stars.label("eu_fe") - stars.eu_expected) == pytest.approx(tau, rel=0.03)


def test_no_other_element_follows_europiums_own_scatter(disc):
    residual = disc.label("eu_fe") - expected_europium(disc.fe_h, disc.alpha_fe)
    for name in ("teff", "logg", "fe_h", "alpha_fe", *(f"{element.lower()}_fe" for element in ELEMENTS)):
        assert abs(np.corrcoef(residual, disc.label(name))[0, 1]) < 4.5 / np.sqrt(MANY), name


def test_stars_lie_on_a_red_giant_branch_that_is_cooler_where_metal_rich(disc):
    assert np.all((disc.teff >= TEFF_LIMITS[0]) & (disc.teff <= TEFF_LIMITS[1]))
    assert np.all((disc.logg >= LOGG_LIMITS[0]) & (disc.logg <= LOGG_LIMITS[1]))
    columns = np.column_stack([np.ones(MANY), disc.logg, disc.fe_h])
    _, along, across = np.linalg.lstsq(columns, disc.teff, rcond=None)[0]
    assert 350 < along < 550
    assert -320 < across < -180


def test_the_dredge_up_lowers_carbon_and_raises_nitrogen(disc):
    assert np.median(disc.label("c_fe") - disc.label("n_fe")) < -0.3


@pytest.mark.parametrize("population", ["r-I", "r-II", "decorrelated"])
def test_out_of_distribution_sets_differ_from_the_disc_in_europium_alone(disc, population):
    other = draw_stars(MANY, 1, population=population)
    for name in ("teff", "logg", "fe_h", "alpha_fe", "mg_fe", "ce_fe"):
        assert np.array_equal(other.label(name), disc.label(name)), name
    eu_fe = other.label("eu_fe")
    if population == "decorrelated":
        assert explained(other, eu_fe) < 1e-3
        assert np.std(eu_fe) == pytest.approx(disc_moments(0.06)["eu_fe_std"], rel=0.03)
    else:
        low, high = {"r-I": (0.3, 1.0), "r-II": (1.0, 1.8)}[population]
        assert eu_fe.min() >= low
        assert eu_fe.max() <= high
        assert np.all(other.r_enhanced)


def test_accreted_stars_are_metal_poor_and_rich_in_europium_over_magnesium():
    stars = draw_stars(MANY, 1, population="gse")
    assert np.mean(stars.fe_h) == pytest.approx(-1.15, abs=0.01)
    assert np.mean(stars.label("eu_fe") - stars.label("mg_fe")) == pytest.approx(0.2, abs=0.01)


def test_accreted_stars_have_more_europium_for_their_magnesium_than_the_thick_disc():
    """Naidu et al. (2022) find about +0.2 and, in stars born in the Galaxy, -0.1 at [Mg/H] about -1."""
    accreted, born_here = (draw_stars(MANY, 1, population=name) for name in ("gse", "in-situ"))
    eu_mg = [stars.label("eu_fe") - stars.label("mg_fe") for stars in (accreted, born_here)]
    assert np.array_equal(accreted.fe_h, born_here.fe_h)
    assert 0.15 < np.median(eu_mg[0]) - np.median(eu_mg[1]) < 0.35
    near = np.abs(born_here.fe_h + born_here.label("mg_fe") + 1) < 0.1
    assert np.median(eu_mg[1][near]) == pytest.approx(-0.1, abs=0.1)


def test_a_straight_line_misses_metal_poor_stars_of_the_disc_and_by_chance_not_the_accreted(disc):
    columns = [np.ones(MANY), disc.fe_h, disc.alpha_fe]
    line = np.linalg.lstsq(np.column_stack(columns), disc.label("eu_fe"), rcond=None)[0]
    missed = {}
    for name in ("gse", "in-situ"):
        stars = draw_stars(MANY, 1, population=name)
        missed[name] = np.median(
            stars.label("eu_fe") - np.column_stack([np.ones(MANY), stars.fe_h, stars.alpha_fe]) @ line
        )
    assert abs(missed["gse"]) < 0.03
    assert missed["in-situ"] < -0.1


def test_the_discs_relation_expects_too_little_europium_of_accreted_stars():
    stars = draw_stars(MANY, 1, population="gse")
    excess = stars.label("eu_fe") - expected_europium(stars.fe_h, stars.alpha_fe)
    assert 0.1 < np.median(excess) < 0.2
    assert np.array_equal(stars.eu_expected, expected_europium(stars.fe_h, stars.alpha_fe))


def test_the_tail_of_enhanced_stars_has_the_given_fraction():
    stars = draw_stars(MANY, 1, r_enhanced_fraction=0.01)
    assert np.mean(stars.r_enhanced) == pytest.approx(0.01, abs=0.003)
    assert stars.label("eu_fe")[stars.r_enhanced].min() >= 0.3


@pytest.mark.parametrize("population", POPULATIONS)
def test_the_first_stars_of_a_larger_draw_are_the_same(population):
    few, many = (draw_stars(n, 3, population=population) for n in (50, 500))
    for name in ("teff", "logg", "eu_fe", "c_fe"):
        assert np.array_equal(few.label(name), many.label(name)[:50])
    assert np.array_equal(few.observed_velocity, many.observed_velocity[:50])


def test_a_europium_seed_changes_europium_alone(disc):
    other = draw_stars(MANY, 1, r_enhanced_fraction=0.0, europium_seed=2)
    assert np.array_equal(other.label("yb_fe"), disc.label("yb_fe"))
    assert np.array_equal(other.eu_expected, disc.eu_expected)
    difference = (other.label("eu_fe") - disc.label("eu_fe")) / 0.06
    assert np.std(difference) == pytest.approx(np.sqrt(2), rel=0.03)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"population": "halo"},
            "unknown population 'halo'; choose one of disc, gse, in-situ, r-I, r-II, ",
        ),
        ({"tau": -0.1}, "tau"),
        ({"tau": float("nan")}, "tau"),
        ({"r_enhanced_fraction": 1.5}, "r_enhanced_fraction"),
    ],
)
def test_bad_input_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        draw_stars(10, 0, **options)
    with pytest.raises(ValueError, match="n_stars"):
        draw_stars(0, 0)


def test_the_expected_number_of_enhanced_stars_is_that_of_draws():
    stars = draw_stars(100_000, 4, r_enhanced_fraction=0.2)
    moderate, strong = expected_enhanced(100_000, 0.2)
    own = stars.abundances["Eu"][stars.r_enhanced]
    assert np.count_nonzero(own > 1) == pytest.approx(strong, abs=4 * np.sqrt(strong))
    assert np.count_nonzero(own <= 1) == pytest.approx(moderate, abs=4 * np.sqrt(moderate))
