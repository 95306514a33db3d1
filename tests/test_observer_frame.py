"""What stands still in the observer's frame is told from the stars' own lines, found, and masked."""

import numpy as np
import pytest
from linear_truth import linear_survey

import lux
from lux.auditing import AuditSettings, Kind, measurements, observer_frame
from lux.auditing.evidence import observed_evidence
from lux.models import baselines
from lux.spectroscopy import airglow

WINDOWS = [(15436, 15460), (16104, 16138), (16491, 16515), (16728, 16750)]
AIRGLOW = 16128.608
LINES = (15448.4, 16117.0, 16739.0)


def make(amplitude=0.0, depth=0.0, **changes):
    planted = () if not amplitude else (lux.World("artefact", amplitude=amplitude, wavelengths=(AIRGLOW,)),)
    kind = lux.World("signal", depth=depth, also=planted) if depth else lux.World("shortcut", also=planted)
    survey = lux.load("synthetic", world=kind, n_stars=600, seed=3, star_seed=2, wavelength_range=WINDOWS)
    return survey.replace(**changes) if changes else survey


def look(survey, velocity=None):
    measured = measurements.measure(survey, "eu_fe", LINES)
    velocity = observer_frame.velocities(survey) if velocity is None else velocity
    return observer_frame.look(survey, velocity, measured, 22500.0)


@pytest.fixture(scope="module")
def spoiled():
    return make(amplitude=0.03)


def test_an_artefact_is_found_where_it_was_planted_and_nothing_of_it_is_left_when_it_is_masked(spoiled):
    frame, velocity = look(spoiled), observer_frame.velocities(spoiled)
    evidence = observed_evidence(frame)
    assert all(item.significant for item in evidence.values())
    places = frame.places(at_sky=False)
    assert np.abs(places - AIRGLOW).min() < 0.3
    clean = observer_frame.masked(spoiled, velocity, places)
    assert 0 < np.mean(clean.ivar == 0) - np.mean(spoiled.ivar == 0) < 0.1
    assert not any(item.significant for item in observed_evidence(look(clean, velocity)).values())


@pytest.mark.slow
@pytest.mark.parametrize("depth", [0.0, 0.01, 0.1])
def test_lines_of_the_stars_leave_nothing_in_the_frame_of_the_observer(depth):
    assert not any(item.significant for item in observed_evidence(look(make(depth=depth))).values())


def test_stars_that_move_alike_have_one_frame_and_show_nothing(spoiled):
    frame = look(make(depth=0.1), np.full(600, 40.0))
    np.testing.assert_array_equal(frame.lines, 0)


def test_lines_beside_an_artefact_are_known_and_an_artefact_alone_is_called_one(spoiled):
    for survey, verdict in ((spoiled, "artefact"), (make(amplitude=0.1, depth=0.01), "known")):
        train, test = survey.split(0.3)
        report = lux.audit(baselines.Mean().fit(train), train, test, "eu_fe", LINES)
        assert report.verdict == verdict, str(report)
        assert np.abs(np.array(report.observed_places) - AIRGLOW).min() < 0.5
        assert "observer's frame" in report.reason


def test_without_velocities_the_observers_frame_is_not_asked_about(spoiled):
    survey = spoiled.replace(catalogue={})
    train, test = survey.split(0.3)
    report = lux.audit(baselines.Mean().fit(train), train, test, "eu_fe", LINES)
    assert Kind.OBSERVED_PLACE not in report
    assert report.observed_places == ()


def test_velocities_are_those_towards_the_telescope_and_unknown_ones_are_left_out(spoiled):
    true = spoiled.truth.columns["observed_velocity"]
    assert np.median(np.abs(observer_frame.velocities(spoiled) - true)) < 1.5
    given = np.where(np.arange(600) == 5, 999999.0, true)
    found = observer_frame.velocities(spoiled.replace(catalogue={"observed_velocity": given}))
    assert np.isnan(found[5])
    np.testing.assert_array_equal(np.delete(found, 5), np.delete(true, 5))
    with pytest.raises(ValueError, match="no velocities of stars in km/s"):
        observer_frame.velocities(spoiled.replace(catalogue={"observed_velocity": 1000 * true}))
    with pytest.raises(ValueError, match="does it hold redshifts"):
        observer_frame.velocities(spoiled.replace(catalogue={"observed_velocity": true / 299792.0}))
    with pytest.raises(ValueError, match="says yes or no"):
        observer_frame.velocities(spoiled.replace(catalogue={"observed_velocity": true > 0}))
    with pytest.warns(UserWarning, match="'observed_velocity' of the catalogue is 0 in every star"):
        assert observer_frame.velocities(spoiled.replace(catalogue={"observed_velocity": 0 * true})) is None
    half = {"radial_velocity": np.full(600, np.nan)}
    assert observer_frame.velocities(spoiled.replace(catalogue=half)) is None


def test_velocities_in_the_catalogue_are_not_sought_again(spoiled, monkeypatch):
    found = observer_frame.velocities(spoiled)
    given = observer_frame.with_velocities(spoiled)
    monkeypatch.setattr(observer_frame.airglow, "observed_velocity", None)
    np.testing.assert_array_equal(observer_frame.velocities(given), found)
    nowhere = spoiled.replace(catalogue={})
    assert observer_frame.with_velocities(nowhere) is nowhere


def test_the_middle_of_wide_gaps_is_left_out_and_nothing_else_changes(spoiled, monkeypatch):
    without = look(spoiled)
    counted = []
    monkeypatch.setattr(
        observer_frame, "_reached", lambda there, shift: counted.append(len(there)) or np.ones_like(there)
    )
    everything = look(spoiled)
    assert len(without.wavelength) < 0.5 * counted[0]
    np.testing.assert_array_equal(without.wavelength, everything.wavelength)
    np.testing.assert_allclose(without.lines, everything.lines, atol=1e-6)
    np.testing.assert_allclose(without.surrogate, everything.surrogate, atol=1e-6)


def test_outside_the_known_airglow_the_radial_velocity_is_taken_as_it_is(spoiled):
    elsewhere = spoiled.replace(wavelength=spoiled.wavelength * 0.4)
    np.testing.assert_array_equal(
        observer_frame.velocities(elsewhere), spoiled.catalogue["radial_velocity"].astype(float)
    )


def test_sums_over_shifts_are_those_of_a_loop():
    generator = np.random.default_rng(0)
    at_rest, of_shift, low = generator.normal(size=(2, 30)), generator.normal(size=(2, 7)), -4
    expected = np.zeros_like(at_rest)
    for place in range(30):
        for number in range(7):
            source = place - (low + number)
            if 0 <= source < 30:
                expected[:, place] += of_shift[:, number] * at_rest[:, source]
    np.testing.assert_allclose(observer_frame._summed(of_shift, at_rest, low), expected, atol=1e-12)


def test_the_largest_nearby_is_that_of_all_places_at_rest_that_shifts_take_to_one():
    at_rest = np.zeros((1, 50))
    at_rest[0, 20] = -3.0
    shift = np.repeat(np.arange(2, 9), 100)
    np.testing.assert_array_equal(np.flatnonzero(observer_frame._largest_nearby(at_rest, shift)), 20 + np.arange(2, 9))


def frame_of(lines, sky=(), **settings):
    """Return a frame of pixels of 10 km/s where chance gives 4 at most."""
    wavelength = 16000 * np.exp(np.arange(len(lines)) * 10 / 299792.458)
    weight = np.isin(np.arange(len(lines)), sky).astype(float)
    surrogate = np.where(np.arange(len(lines)) == 3, -4.0, 0.0) * np.ones((20, 1))
    return observer_frame.ObserverFrame(
        wavelength, np.array(lines), surrogate, weight, np.zeros(21), AuditSettings(**settings)
    )


def pixels(frame, *, at_sky):
    return np.searchsorted(frame.wavelength, frame.places(at_sky=at_sky) - 1e-6).tolist()


def test_places_of_an_artefact_are_those_beyond_chance_apart_by_their_reach_and_all_airglow_with_it():
    lines = np.zeros(40)
    lines[[10, 11, 12, 20, 30]] = -9, 8, 7, 4.1, 3.9
    # Of three pixels in a row the second lies within 17 km/s of the first, the third beyond it.
    assert pixels(frame_of(lines), at_sky=False) == [10, 12, 20]
    assert pixels(frame_of(lines, sky=[20, 35]), at_sky=False) == [10, 12, 20]
    assert pixels(frame_of(lines, sky=[20, 35]), at_sky=True) == [10, 12, 20, 35]
    assert pixels(frame_of(lines, max_observed_places=1), at_sky=False) == [10]
    # An artefact is somewhere, even if no place alone is beyond chance; airglow as such is many.
    assert pixels(frame_of(lines / 3, sky=[35]), at_sky=False) == [10]
    assert pixels(frame_of(lines / 3, sky=[35]), at_sky=True) == [35]


def test_velocities_are_read_from_the_first_column_that_most_stars_have():
    survey = linear_survey(n_stars=100, n_pixels=40)
    survey = survey.replace(wavelength=survey.wavelength * 0.4)
    true = np.linspace(-300, 300, 100)
    for known, column in ((51, "observed_velocity"), (49, "radial_velocity")):
        some = np.where(np.arange(100) < known, true, np.nan)
        both = survey.replace(catalogue={"observed_velocity": some, "radial_velocity": true + 1})
        expected = {"observed_velocity": some, "radial_velocity": true + 1}[column]
        np.testing.assert_array_equal(observer_frame.velocities(both), expected)
    for fast, kept in ((1999.0, True), (-1999.0, True), (2001.0, False), (-9999.0, False)):
        given = np.where(np.arange(100) == 7, fast, true)
        found = observer_frame.velocities(survey.replace(catalogue={"observed_velocity": given}))
        assert np.isnan(found[7]) != kept
    # One number that stands for none, in most stars, is no other unit.
    empty = np.where(np.arange(100) < 80, -9999.0, true)
    assert observer_frame.velocities(survey.replace(catalogue={"observed_velocity": empty})) is None
    for other_unit, refused in ((51, True), (49, False)):
        given = np.where(np.arange(100) < other_unit, 1e4 + true, true)
        mixed = survey.replace(catalogue={"observed_velocity": given})
        if not refused:
            assert np.sum(np.isnan(observer_frame.velocities(mixed))) == 49
            continue
        with pytest.raises(ValueError, match="no velocities of stars in km/s"):
            observer_frame.velocities(mixed)


def test_the_even_grid_has_the_nearest_pixel_everywhere_but_in_gaps():
    step = 1e-4
    logarithm = np.log(16000) + step * np.array([0, 1, 2, 3, 10, 11, 12])
    grid, pixel = observer_frame._even_grid(np.exp(logarithm), step)
    np.testing.assert_allclose(np.log(grid), logarithm[0] + step * np.arange(13))
    assert pixel.tolist() == [0, 1, 2, 3, -1, -1, -1, -1, -1, -1, 4, 5, 6]


def test_places_are_reached_that_have_a_pixel_or_to_which_a_star_takes_one():
    there = np.isin(np.arange(20), (3, 4, 15))
    for shift, expected in (
        ([-1, 2], [2, 3, 4, 5, 6, 14, 15, 16, 17]),
        ([1, 2], [3, 4, 5, 6, 15, 16, 17]),
        ([-2, -1], [1, 2, 3, 4, 13, 14, 15]),
        ([0, 0], [3, 4, 15]),
    ):
        assert np.flatnonzero(observer_frame._reached(there, np.array(shift))).tolist() == expected


def test_observed_scores_are_those_of_the_pixels_at_rest_that_shifts_take_there():
    generator = np.random.default_rng(0)
    scores, shift, place = generator.normal(size=(30, 8)), generator.integers(-3, 4, 30), np.array([0, 2, 5, 6, 9])
    pixel = np.array([0, 1, 2, -1, -1, 3, 4, 5, 6, 7])
    observed = observer_frame._observed(scores, pixel, shift, place)
    for star in range(30):
        for number, where in enumerate(place):
            rest = where - shift[star]
            known = 0 <= rest < 10 and pixel[rest] >= 0
            assert observed[star, number] == (scores[star, pixel[rest]] if known else 0)


def test_the_sum_over_airglow_is_weighted_by_the_root_of_the_strength_of_the_lines_that_are_there():
    lines = airglow.airglow_lines()
    step = 1e-5
    grid = np.exp(np.arange(np.log(15500), np.log(16900), step))
    weight = observer_frame._sky_weight(grid, step)
    assert np.sum(weight**2) == pytest.approx(1)
    there = (lines.wavelength > 15500) & (lines.wavelength < 16900)
    bright = there & (lines.strength >= airglow.FAINTEST)
    assert 2 < np.sum(bright) < np.sum(there)
    expected = np.sqrt(lines.strength[bright] / np.sum(lines.strength[bright]))
    pixels = [int(np.argmin(np.abs(grid - line))) for line in lines.wavelength[bright]]
    np.testing.assert_allclose(weight[pixels], expected)
    assert np.sum(weight > 0) == len(pixels)
    assert not np.any(observer_frame._sky_weight(0.4 * grid, step))


@pytest.fixture(scope="module")
def bare():
    """A survey with a gap, and what is measured in it."""
    survey = linear_survey(n_stars=300, n_latents=2, n_labels=2).select_pixels(
        (np.arange(300) < 100) | (np.arange(300) >= 250)
    )
    return survey, measurements.measure(survey, "label_0", settings=AuditSettings(n_surrogates=20))


def frame_with(bare, monkeypatch, scores, pixels):
    """Return the frame of stars with given scores, shifted by so many pixels; what is near at rest is not left out."""
    survey, measured = bare
    monkeypatch.setattr(observer_frame, "score_lines", lambda *_: (scores,))
    monkeypatch.setattr(observer_frame, "_largest_nearby", lambda at_rest, shift: np.zeros_like(at_rest))
    step = np.median(np.diff(np.log(survey.wavelength)))
    return observer_frame.look(survey, 299792.458 * np.expm1(np.asarray(pixels) * step), measured, 22500.0)


def test_a_line_of_the_stars_that_goes_as_the_label_leaves_nothing_where_shifts_take_it(bare, monkeypatch):
    survey, measured = bare
    generator = np.random.default_rng(0)
    shift, noise = generator.integers(-12, 13, 300), generator.normal(size=survey.flux.shape)
    weight = measured.residual / measurements.label_variance(measured.design, measured.residual[:, None])[:, 0]
    line = 50 * weight[:, None] * (np.arange(survey.n_pixels) == 40)
    with_line, without = (frame_with(bare, monkeypatch, scores + noise, shift) for scores in (line, 0 * line))
    taken = np.abs(with_line.wavelength / survey.wavelength[40] - 1) < 12.5 * 0.2 / 15100
    assert np.sum(taken) == 25
    # Twelve stars at each place would lift it by the root of twelve.
    assert abs(np.mean(with_line.lines[taken])) < 0.3
    # Of noise alone the frame is in standard deviations.
    for lines in (without.lines, without.surrogate):
        assert np.std(lines) == pytest.approx(1, abs=0.15)


def test_stars_of_unknown_velocity_say_nothing_in_the_observers_frame(bare, monkeypatch):
    survey, _ = bare
    generator = np.random.default_rng(0)
    scores, unknown = generator.normal(size=survey.flux.shape), np.arange(300) % 10 == 3
    shift = np.where(unknown, np.nan, generator.integers(-12, 13, 300))
    spoiled = np.where(unknown[:, None], 1e3 * generator.normal(size=scores.shape), scores)
    clean, other = (frame_with(bare, monkeypatch, each, shift) for each in (scores, spoiled))
    # What is at rest is that of all stars.
    np.testing.assert_allclose(other.lines, clean.lines, atol=1e-4)
    np.testing.assert_array_equal(other.wavelength, clean.wavelength)


def test_an_observed_place_is_asked_about_if_a_tenth_of_the_stars_have_it(bare, monkeypatch):
    survey, _ = bare
    shift = np.repeat([100.0, -100.0, np.nan, 0.0], [21, 36, 12, 231])
    frame = frame_with(bare, monkeypatch, np.ones(survey.flux.shape), shift)
    # Into the gap, of pixels 100 to 250, reach from its left 7 per cent of the stars, and from its right 12 beside.
    places = (frame.wavelength - 15100) / 0.2
    inside = places[(places > 99.5) & (places < 249.5)]
    assert (inside.min(), inside.max()) == pytest.approx((150, 199), abs=1.5)
    assert len(inside) == pytest.approx(50, abs=2)
    nowhere = np.full(300, np.nan)
    nowhere[:20] = 0
    assert frame_with(bare, monkeypatch, np.ones(survey.flux.shape), nowhere) is None
