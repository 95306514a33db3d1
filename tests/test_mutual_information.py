"""Mutual information and its gap: against closed forms and scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import mutual_info_score
from sklearn.preprocessing import KBinsDiscretizer

from lux.diagnostics import mutual_information


def correlated(rho, n_stars, seed=0):
    x, noise = np.random.default_rng(seed).normal(size=(2, n_stars))
    return x, rho * x + np.sqrt(1 - rho**2) * noise


@pytest.mark.parametrize(("rho", "nats"), [(0.84, 0.611), (0.5, 0.144), (0.0, 0.0)])
def test_mutual_information_of_gaussians_is_the_known_one(rho, nats):
    assert mutual_information.gaussian_information(rho**2) == pytest.approx(nats, abs=5e-4)
    x, y = correlated(rho, 400_000)
    for binning in mutual_information.BINNINGS:
        assert mutual_information.mutual_information(x, y, 40, binning) == pytest.approx(nats, abs=0.012)


def test_the_plug_in_bias_of_independent_variables_follows_the_formula():
    x, y = np.random.default_rng(1).normal(size=(2, 5000, 60))
    found = [mutual_information.mutual_information(a, b, 20, "frequency") for a, b in zip(x.T, y.T, strict=True)]
    expected = mutual_information.plug_in_bias(20, 5000)
    assert expected == pytest.approx(0.0361)
    assert np.mean(found) == pytest.approx(expected, abs=0.1 * expected)
    gap = mutual_information.mutual_information_gap(x, y[:, :1], ("y",), 20, "frequency")
    np.testing.assert_allclose(gap.bias, expected, rtol=1e-6)
    assert abs(np.mean(gap.information - gap.bias)) < 0.1 * expected


def test_mutual_information_of_a_variable_with_itself_is_its_entropy():
    x = np.random.default_rng(0).uniform(size=4000)
    gap = mutual_information.mutual_information_gap(np.column_stack([x, x**3]), x[:, None], ("x",), 20, "frequency")
    assert gap.entropy[0] == pytest.approx(np.log(20), abs=1e-9)
    np.testing.assert_allclose(gap.information, np.log(20), atol=1e-9)
    assert gap.gap[0] == pytest.approx(0, abs=1e-9)


def test_the_gap_is_that_of_the_known_informations():
    generator = np.random.default_rng(2)
    latents = generator.normal(size=(200_000, 3))
    labels = latents @ np.array([[0.84], [0.5], [0.2]]) + generator.normal(size=(200_000, 1)) * 0.1
    r2 = np.array([0.84, 0.5]) ** 2 / (0.84**2 + 0.5**2 + 0.2**2 + 0.1**2)
    gap = mutual_information.mutual_information_gap(latents, labels, ("label",), 30, "frequency")
    assert gap.order[0].tolist() == [0, 1, 2]
    expected = -np.diff(mutual_information.gaussian_information(r2))[0] / np.log(30)
    assert gap.gap[0] == pytest.approx(expected, abs=0.005)
    assert gap.corrected_gap[0] == pytest.approx(expected, abs=0.005)


def test_the_gap_depends_on_the_basis_although_predictions_do_not(surveys, model):
    test = surveys[1]
    gaps = mutual_information.gap_over_rotations(
        model.infer_latents(test), test.labels, test.label_names, 50, n_bins=10
    )
    values = np.array([gap.gap for gap in gaps])
    assert np.all(values.max(axis=0) > 3 * values.min(axis=0))


def test_the_information_is_that_of_scikit_learn():
    x, y = correlated(0.6, 3001)
    bins = KBinsDiscretizer(10, encode="ordinal", strategy="uniform", subsample=None)
    expected = mutual_info_score(*bins.fit_transform(np.column_stack([x, y])).T)
    assert mutual_information.mutual_information(x, y, 10) == pytest.approx(expected, rel=1e-12)


def test_bins_of_equal_frequency_are_equally_full_and_hold_equal_values_together():
    x = correlated(0.0, 1000)[0][:, None]
    thirds = np.sign(np.round(x))
    shares = np.unique(thirds, return_counts=True)[1] / 1000
    for values, entropy in ((x, np.log(8)), (thirds, -np.sum(shares * np.log(shares)))):
        gap = mutual_information.mutual_information_gap(values, values, ("x",), 8, "frequency")
        assert gap.entropy[0] == pytest.approx(entropy, abs=1e-12)


def test_the_order_of_the_rows_carries_no_information():
    label = np.sort(np.random.default_rng(0).normal(size=1000))
    latents = np.column_stack([np.zeros(1000), np.arange(1000) % 10 == 0]).astype(float)
    gap = mutual_information.mutual_information_gap(latents, label[:, None], ("x",), 10, "frequency")
    np.testing.assert_allclose(gap.information, 0, atol=1e-12)
    shuffled = np.random.default_rng(1).permutation(1000)
    member = (label[:, None] > 1).astype(float)
    for rows in (slice(None), shuffled):
        gap = mutual_information.mutual_information_gap(label[rows, None], member[rows], ("x",), 10, "frequency")
        share = member.mean()
        assert gap.entropy[0] == pytest.approx(-share * np.log(share) - (1 - share) * np.log1p(-share))


def test_what_cannot_be_measured_is_refused():
    z, labels, names = np.random.default_rng(0).normal(size=(50, 2)), np.arange(50.0)[:, None], ("eu_fe",)
    for latents, options, message in (
        (z[:20], (), "20 stars have latents, 50 have labels"),
        (np.where(z > 1, np.nan, z), (), "latents are not finite; leave out the stars"),
        (z, (50,), "'eu_fe' has 50 stars for 50 bins"),
        (z, (5, "equal"), "unknown binning 'equal'"),
    ):
        with pytest.raises(ValueError, match=message):
            mutual_information.mutual_information_gap(latents, labels, names, *options)
    with pytest.raises(ValueError, match="there is one latent only"):
        _ = mutual_information.mutual_information_gap(z[:, :1], labels, names, 5).gap
