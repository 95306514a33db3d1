"""A label follows the others by functions that as many stars and labels as there are allow, and no more."""

import numpy as np
import pytest

from lux.auditing import other_labels


def test_a_missing_value_of_another_label_has_no_weight():
    generator = np.random.default_rng(0)
    basis = np.linalg.qr(np.column_stack([np.ones(200), generator.normal(size=(200, 3))]))[0]
    labels = basis @ generator.normal(size=(4, 2))
    missing = np.where((np.arange(200) % 9 == 0)[:, None] & (np.arange(2) == 1), np.nan, labels)
    np.testing.assert_allclose(other_labels.inferred_labels(basis, missing, 0.9), labels, atol=1e-10)


def test_a_label_that_the_poorest_stars_lack_is_extrapolated_to_them():
    generator = np.random.default_rng(0)
    label = np.sort(generator.normal(size=400))
    basis = np.linalg.qr(np.column_stack([np.ones(400), label + 0.01 * generator.normal(size=400)]))[0]
    given = np.where(np.arange(400) < 160, np.nan, label)
    inferred = other_labels.inferred_labels(basis, given[:, None], 0.9)[:, 0]
    np.testing.assert_allclose(inferred, label, atol=0.06)


def test_few_stars_leave_out_splines_then_products_and_then_squares():
    labels = np.random.default_rng(0).normal(size=(200, 4))
    assert [other_labels.label_basis(labels, n).shape[1] for n in (3, 10, 20, 40)] == [31, 15, 9, 5]
    basis = other_labels.label_basis(labels, 10)
    np.testing.assert_allclose(basis.T @ basis, np.eye(15), atol=1e-12)
    np.testing.assert_allclose(other_labels.partial_out(labels[:, 0] * labels[:, 1], basis), 0, atol=1e-12)
    squares = other_labels.partial_out(labels**2, other_labels.label_basis(labels, 20))
    np.testing.assert_allclose(squares, 0, atol=1e-12)


def test_of_no_other_label_there_is_a_constant_and_of_one_that_label():
    label = np.random.default_rng(0).normal(size=(200, 1))
    none = other_labels.label_basis(label[:, :0], 20)
    np.testing.assert_allclose(none, np.full((200, 1), 200**-0.5))
    assert np.std(other_labels.partial_out(label, other_labels.label_basis(label, 20))) < 1e-12


def test_what_is_followed_depends_on_no_unit_and_takes_no_more_terms_than_the_stars_allow():
    labels = np.random.default_rng(0).normal(size=(300, 10))
    products = labels[:, :5] * labels[:, 5:]
    followed = np.tanh(2 * labels).sum(axis=1) + products.sum(axis=1)
    sizes = [other_labels.label_basis(labels, 20, unit * followed).shape[1] for unit in (1e-3, 1, 1e3)]
    assert len(set(sizes)) == 1
    assert other_labels.label_basis(labels, 20).shape[1] < sizes[0] <= 2 * 300 // 20


def test_by_chance_one_group_of_terms_in_a_hundred_is_followed():
    generator = np.random.default_rng(0)
    labels, added = generator.normal(size=(200, 4)), []
    simple = other_labels.label_basis(labels, 20).shape[1]
    for _ in range(100):
        added.append(other_labels.label_basis(labels, 20, generator.normal(size=200)).shape[1] > simple)
    # Four labels have ten such groups.
    assert 0.05 < np.mean(added) < 0.14


def test_many_stars_allow_a_knee_that_squares_do_not_follow():
    labels = np.random.default_rng(0).normal(size=(4000, 2))
    knee = np.maximum(labels[:, 0], -0.7)
    left = {n: np.std(other_labels.partial_out(knee, other_labels.label_basis(labels, n))) for n in (20, 400)}
    assert left[20] < 0.04 < 0.1 < left[400]


@pytest.mark.parametrize("n_labels", [4, 10, 16])
def test_what_a_label_follows_is_in_the_basis_of_few_stars_and_of_many_labels(n_labels):
    generator = np.random.default_rng(n_labels)
    labels = generator.normal(size=(600, n_labels))
    knee, own = 0.3 * np.tanh(1.5 * (labels[:, 1] - 0.5)), 0.1 * generator.normal(size=600)
    basis = other_labels.label_basis(labels, 20, knee + labels[:, 0] * labels[:, 2] * 0.05 + own)
    assert (
        np.std(other_labels.partial_out(knee, basis))
        < 0.03
        < np.std(other_labels.partial_out(knee, other_labels.label_basis(labels, 20)))
    )
    np.testing.assert_allclose(basis.T @ basis, np.eye(basis.shape[1]), atol=1e-10)
    assert basis.shape[1] <= 600 // 10
    alone = other_labels.label_basis(labels, 20, own)
    # By chance one group in a hundred.
    assert alone.shape[1] <= other_labels.label_basis(labels, 20).shape[1] + 12


def test_a_label_that_too_few_stars_have_takes_no_part():
    labels = np.random.default_rng(0).standard_normal((300, 3))
    labels[100:, 1], labels[180:, 2] = np.nan, np.nan
    basis = np.linalg.qr(np.random.default_rng(1).standard_normal((300, 30)))[0]
    for terms, used in ((30, [True, False, True]), (10, [True, True, True])):
        assert other_labels.can_be_inferred(basis[:, :terms], labels).tolist() == used


def in_two_kinds(n_lacking):
    """Return a basis and labels, of which one is missing in stars that have what no other star has."""
    generator = np.random.default_rng(2)
    strange = np.arange(300) < n_lacking
    basis = np.linalg.qr(np.column_stack([np.ones(300), generator.standard_normal(300) * (1e-3 + strange)]))[0]
    labels = generator.standard_normal((300, 2))
    labels[strange, 1], labels[290:, 1] = np.nan, np.nan
    return basis, labels, strange


def test_stars_without_a_label_that_are_like_none_that_has_it_are_told_from_others():
    basis, labels, strange = in_two_kinds(100)
    far = other_labels.extrapolated(basis, labels)
    assert not far[:, 0].any()
    assert far[strange, 1].mean() > 0.95
    assert not far[~strange].any(), "it is missing in some, and others like them have it"
    without = other_labels.extrapolated(*in_two_kinds(200)[:2])
    assert not without.any(), "most stars are like none that has it, and it takes no part"
    assert other_labels.can_be_inferred(*in_two_kinds(200)[:2]).tolist() == [True, False]
