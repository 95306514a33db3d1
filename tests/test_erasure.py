"""An eraser leaves no linear trace of the concepts, and all that has nothing to do with them."""

import numpy as np
import pytest

from lux.diagnostics import erasure


def in_sample_r2(features, target):
    design = np.column_stack([np.ones(len(features)), features])
    return 1 - np.var(target - design @ np.linalg.lstsq(design, target, rcond=1e-9)[0]) / np.var(target)


def test_erasure_leaves_no_linear_trace():
    generator = np.random.default_rng(1)
    latents = generator.normal(size=(500, 8)) @ generator.normal(size=(8, 8))
    concepts = latents[:, :3] @ generator.normal(size=(3, 2)) + generator.normal(size=(500, 2))
    concepts *= [1.0, 1e4]
    erased = erasure.fit_eraser(latents, concepts).apply(latents)
    assert max(in_sample_r2(latents, concept) for concept in concepts.T) > 0.3
    assert max(abs(in_sample_r2(erased, concept)) for concept in concepts.T) < 1e-8
    np.testing.assert_allclose(erasure.fit_eraser(erased, concepts).apply(erased), erased, atol=1e-8)
    np.testing.assert_allclose(erased.mean(axis=0), latents.mean(axis=0), atol=1e-10)


def test_erasure_keeps_what_has_nothing_to_do_with_the_concepts():
    generator = np.random.default_rng(2)
    latents = np.linalg.qr(generator.normal(size=(400, 5)))[0]
    latents -= latents.mean(axis=0)
    latents = np.linalg.qr(latents)[0]
    erased = erasure.fit_eraser(latents, latents[:, :1]).apply(latents)
    np.testing.assert_allclose(erased[:, 0], 0, atol=1e-10)
    np.testing.assert_allclose(erased[:, 1:], latents[:, 1:], atol=1e-10)


def test_erasing_changes_the_latents_least_of_all_erasers():
    generator = np.random.default_rng(3)
    latents = generator.normal(size=(600, 4)) * [1, 2, 3, 4]
    concept = latents @ [1.0, 1, 0, 0] + generator.normal(size=600)
    erased = erasure.fit_eraser(latents, concept[:, None]).apply(latents)
    centered = latents - latents.mean(axis=0)
    direction = centered.T @ (concept - concept.mean())
    orthogonal = latents - np.outer(centered @ direction, direction) / (direction @ direction)
    assert abs(in_sample_r2(orthogonal, concept)) < 1e-8
    assert np.sum((erased - latents) ** 2) < 0.99 * np.sum((orthogonal - latents) ** 2)


def test_one_concept_may_be_a_vector():
    latents, concept = np.random.default_rng(4).normal(size=(60, 3)), np.random.default_rng(5).normal(size=60)
    expected = erasure.fit_eraser(latents, concept[:, None])
    np.testing.assert_array_equal(erasure.fit_eraser(latents, concept).matrix, expected.matrix)


def test_what_cannot_be_erased_is_refused():
    latents, concepts = np.zeros((50, 2)), np.zeros((50, 1))
    for given, message in (
        (concepts[:9], "50 stars have latents, 9 have concepts"),
        (concepts * np.nan, "must be finite"),
    ):
        with pytest.raises(ValueError, match=message):
            erasure.fit_eraser(latents, given)
