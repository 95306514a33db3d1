"""What stands still in the observer's frame is told from the stars' own lines, found, and masked."""

import numpy as np
import pytest

import lux
from lux.auditing import Kind, measurements, observer_frame
from lux.auditing.evidence import observed_evidence
from lux.models import baselines

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
