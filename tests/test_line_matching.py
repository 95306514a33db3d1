"""Spikes of a map are found, and match lines by chance as often as computed."""

import numpy as np
import pytest

from lux.diagnostics import line_matching
from lux.spectroscopy.instrument import RESOLUTION, on_chip, wavelength_grid


def test_spikes_are_found_where_they_were_put():
    wavelength = wavelength_grid()[on_chip()]
    values = 0.01 * np.random.default_rng(0).normal(size=len(wavelength))
    values[[500, 3000, 3001, 6000]] = [1.0, -2.0, -1.5, 0.5]
    spikes = line_matching.find_spikes(wavelength, values, height=10)
    np.testing.assert_array_equal(spikes.columns, [3000, 500, 6000])
    np.testing.assert_array_equal(np.sign(spikes.height), [-1, 1, 1])


def test_the_higher_of_two_near_spikes_counts_unless_a_gap_lies_between():
    wavelength = wavelength_grid()[:1000]
    values = 0.01 * np.random.default_rng(0).normal(size=1000)
    values[[500, 503]] = [1.0, 2.0]
    np.testing.assert_array_equal(line_matching.find_spikes(wavelength, values, 50).columns, [503])
    values[[501, 502, 504]] = [-2.0, 0.0, 1.0]
    np.testing.assert_array_equal(line_matching.find_spikes(wavelength, values, 50).columns, [503])
    kept = np.delete(np.arange(1100), np.arange(502, 602))
    np.testing.assert_array_equal(
        np.sort(line_matching.find_spikes(wavelength_grid()[kept], values, 50).columns), [501, 503]
    )


def test_spikes_are_those_of_a_search_one_by_one():
    wavelength = wavelength_grid()[on_chip()][:2500]
    values = np.convolve(np.random.default_rng(1).normal(size=2500), np.hanning(7), "same")
    size = np.abs(values) / (1.4826 * np.median(np.abs(values)))
    kept = []
    for column in np.argsort(-size, kind="stable"):
        peak = 0 < column < 2499 and size[column] > max(size[column - 1], size[column + 1], 2)
        apart = np.abs(np.log(wavelength[kept] / wavelength[column])) * 299792.458
        if peak and np.all(apart > 2 * line_matching.TOLERANCE_KMS):
            kept.append(int(column))
    np.testing.assert_array_equal(line_matching.find_spikes(wavelength, values, 2.0).columns, kept)


def made_spikes(wavelength, columns):
    columns = np.asarray(columns)
    return line_matching.Spikes(columns, wavelength[columns], np.ones(len(columns)))


def test_chance_matches_are_as_many_as_the_lines_cover():
    wavelength = wavelength_grid()[on_chip()]
    generator = np.random.default_rng(0)
    spikes = made_spikes(wavelength, generator.permutation(len(wavelength))[:60])
    lines = np.sort(generator.choice(wavelength, 30, replace=False))
    match = line_matching.match_lines(spikes, lines, wavelength)
    reach = line_matching.TOLERANCE_KMS / 299792.458 / np.median(np.diff(np.log(wavelength)))
    expected = 60 * 30 * (2 * np.floor(reach) + 1) / len(wavelength)
    assert match.expected == pytest.approx(expected, rel=0.15)
    assert match.test.p_value > 0.05


def test_spikes_at_the_lines_are_matched_with_the_right_ones():
    wavelength = wavelength_grid()[on_chip()]
    columns = np.arange(200, 7000, 300)
    lines = np.append(wavelength[columns[::-1]] + 0.1, 15_830.0)
    match = line_matching.match_lines(made_spikes(wavelength, columns), lines, wavelength)
    assert match.n_matched == len(columns)
    np.testing.assert_array_equal(match.line, np.arange(len(columns))[::-1])
    assert match.test.p_value < 0.001
    assert line_matching.match_lines(made_spikes(wavelength, columns), lines + 5, wavelength).n_matched == 0
    assert line_matching.match_lines(made_spikes(wavelength, columns), [], wavelength).n_matched == 0


def test_p_values_of_line_matches_are_not_too_small_under_the_null():
    wavelength = wavelength_grid()[on_chip()]
    generator = np.random.default_rng(3)
    lines = np.sort(generator.choice(wavelength, 300, replace=False))
    p_values = np.array(
        [
            line_matching.match_lines(
                made_spikes(wavelength, np.sort(generator.permutation(len(wavelength))[:80])),
                lines,
                wavelength,
                n_shifts=199,
                seed=seed,
            ).test.p_value
            for seed in range(300)
        ]
    )
    for level in (0.05, 0.2, 0.5):
        assert np.mean(p_values <= level) <= level + 3 * np.sqrt(level * (1 - level) / 300)


def test_cesium_lies_at_15241_in_air_and_airglow_and_iron_in_vacuum():
    found = {(each.kind, each.name): each for each in line_matching.neighbors(15241.0, within=1.5)}
    cesium = found["air wavelength", "Cs I"]
    assert cesium.wavelength == pytest.approx(15245.85, abs=0.02)
    assert cesium.wavelength - 4.16 == pytest.approx(15241.0 + cesium.distance, abs=0.02)
    assert found["night sky", "OH 3-1 P1(2)"].wavelength == pytest.approx(15240.95, abs=0.02)
    assert found["stellar line", "Fe I"].wavelength == pytest.approx(15241.93, abs=0.02)
    assert ("stellar line", "Cs I") not in found


def test_the_tolerance_is_half_the_width_of_an_unresolved_line():
    assert line_matching.TOLERANCE_KMS == pytest.approx(0.5 * 299792.458 / RESOLUTION)
