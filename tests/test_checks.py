"""Each check lets through what a diagnostic can use, and says of the rest what came and what was expected."""

import numpy as np
import pytest

from lux.diagnostics import checks


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda survey: checks.require_stars([1, 2], 3, "are predicted"), "2 stars are predicted, the survey has 3"),
        (lambda survey: checks.require_finite(np.array([1, np.nan]), "latents"), "latents are not finite; leave out"),
        (lambda survey: checks.require_variation(np.full(9, 0.3), "eu_fe"), "'eu_fe' is 0.3 in every star"),
        (lambda survey: checks.require_variation(np.array([1.0, 1 + 1e-15]), "eu_fe"), "'eu_fe' is 1 in every star"),
        (lambda survey: checks.require_labels(survey, ["label_3"]), "no star of the survey has label 'label_3'"),
    ],
)
def test_what_no_diagnostic_can_use_is_refused(surveys, wrong, message):
    labels = surveys[0].labels.copy()
    labels[:, 3] = np.nan
    with pytest.raises(ValueError, match=message):
        wrong(surveys[0].replace(labels=labels))


def test_a_label_of_small_variation_varies():
    checks.require_variation(1e-9 * np.arange(3), "eu_fe")
    checks.require_variation(4750 + 1e-6 * np.arange(3), "teff")


def test_one_value_of_each_star_is_one_column_and_columns_stay_what_they_are():
    columns = np.ones((5, 2), np.float32)
    assert checks.as_columns(columns) is columns
    assert checks.as_columns([1, 2, 3]).shape == (3, 1)


def test_masks_of_pixels_become_the_rows_of_an_array():
    masks = {"a": np.arange(6) < 2, "b": [False] * 6}
    np.testing.assert_array_equal(checks.pixel_masks(masks.values(), 6, disjoint=True), list(masks.values()))
    assert checks.pixel_masks([], 6).shape == (0, 6)
    with pytest.raises(ValueError, match="a pixel is in two groups"):
        checks.pixel_masks([masks["a"], masks["a"]], 6, disjoint=True)


@pytest.mark.parametrize(
    "masks", [np.arange(6) < 2, [np.arange(6)], [slice(0, 2)], [(15100.0, 15101.0)], [[True, False]], [np.ones(6)]]
)
def test_what_is_no_mask_of_pixels_is_refused(masks):
    with pytest.raises(ValueError, match=r"must be a boolean mask of shape \(6,\), got .*; give a list of masks"):
        checks.pixel_masks(masks, 6)
