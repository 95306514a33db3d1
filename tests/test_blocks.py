"""The blocks in which stars are handled do not matter."""

import warnings

import numpy as np
import pytest
from linear_truth import TIGHT, errors_apart
from sklearn.exceptions import ConvergenceWarning

import lux
from lux.models.blocks import block_length, blocks


def test_the_size_of_the_blocks_does_not_matter(surveys_with_scatter, converged_model):
    train, test = surveys_with_scatter
    small = lux.Lux(4, block_size=100, **TIGHT).fit(train)
    assert errors_apart(small.predict_labels(test), converged_model.predict_labels(test), test) < 1e-3


@pytest.mark.parametrize("settings_", [{}, {"algorithm": "als", "start": "labels", "omega": 1000.0}])
def test_stars_that_do_not_fill_the_blocks_are_fitted_all_the_same(surveys_with_scatter, settings_):
    train, test = surveys_with_scatter[0][:407], surveys_with_scatter[1]
    fixed = {"max_cycles": 30, "tolerance": 1e-3} | settings_
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        whole = lux.Lux(4, block_size=407, **fixed).fit(train)
        for block_size in (100, 406):
            model = lux.Lux(4, block_size=block_size, **fixed).fit(train)
            assert errors_apart(model.predict_labels(test), whole.predict_labels(test), test) < 1e-4
            np.testing.assert_allclose(model.latents_, whole.latents_, atol=1e-3)


def test_blocks_have_one_shape_hold_each_star_once_and_are_padded_without_weight(surveys):
    survey = surveys[0][:101]
    found = list(blocks(survey, block_length(101, 30)))
    assert len({block.flux.shape for block in found}) == 1
    assert [star for block in found for star in range(*block.rows.indices(101))] == list(range(101))
    flux = np.concatenate([block.unpad(block.flux) for block in found])
    assert np.array_equal(flux, survey.flux)
    assert float(sum(block.ivar.sum() for block in found)) == pytest.approx(survey.ivar.sum(), rel=1e-5)


def test_padding_has_a_proper_prior(surveys):
    block = next(blocks(surveys[0][:20], 32))
    precision, moment = block.latent_prior(np.full((20, 2, 2), 3.0), np.ones((20, 2)))
    assert precision.shape == (32, 2, 2)
    assert np.array_equal(precision[20:], np.broadcast_to(np.eye(2), (12, 2, 2)))
    assert not np.any(moment[20:])
