"""What the chapters on the model and on label transfer compute for their figures, and that the figures are drawn."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from linear_truth import linear_survey

import lux
from lux.diagnostics import reconstruction
from lux.figures import model as model_figures
from lux.figures import transfer as transfer_figures
from lux.spectroscopy.instrument import on_chip, wavelength_grid


@pytest.fixture(scope="module")
def survey():
    scatter = np.where(np.arange(300) % 2 == 0, 0.04, 0.0)
    return linear_survey(n_stars=500, scatter=scatter)


def on_grid(survey):
    """The survey with its pixels spread over the three chips of the APOGEE grid."""
    grid = wavelength_grid()[on_chip("dr17")]
    return survey.replace(wavelength=grid[np.linspace(0, len(grid) - 1, survey.n_pixels).astype(int)])


def test_residuals_are_one_error_wide_where_model_and_scatter_are_right(survey):
    survey = on_grid(survey)
    train, test = survey.split(0.4)
    model = lux.Lux(4).fit(train)
    chips = reconstruction.residuals_by_chip(test, model.predict_flux(test), model.scatter_)
    assert [each.chip for each in chips] == ["blue", "green", "red"]
    assert sum(each.n_pixels for each in chips) == np.count_nonzero(test.ivar)
    for each in chips:
        assert each.chi_with_scatter == pytest.approx(1, abs=0.05)
        assert each.chi > 1.3
        assert abs(each.autocorrelation) < 0.05
    with pytest.raises(ValueError, match="must have shapes"):
        reconstruction.residuals_by_chip(test, model.predict_flux(test)[:, 1:], model.scatter_)


def test_every_figure_of_both_chapters_is_drawn(survey):
    train, test = on_grid(survey).split(0.4)
    model = lux.Lux(4).fit(train)
    prediction, names = model.predict_labels(test), test.label_names
    strength = np.abs(np.corrcoef(test.labels.T, model.infer_latents(test).T)[:3, 3:])
    windows = [(15200, 15800), (16000, 16400), (16500, 16900)]
    halves = tuple(prediction.labels[:, 0])[:20]
    figures = [
        model_figures.graphical_model(),
        model_figures.convergence({"noise": model.history_[-1] - model.history_}),
        model_figures.latent_stories({"one": strength, "two": strength}, names),
        model_figures.unfinished((0, 1, 10), np.linspace(1, 0, 12).reshape(4, 3), names),
        model_figures.latent_numbers({2: np.ones(3), 4: np.full(3, 0.9)}, names, 4),
        model_figures.reconstruction(test, model.predict_flux(test), 0, windows),
        transfer_figures.one_to_one_grid(test, prediction, names),
        transfer_figures.paradox({"one": (halves,) * 4, "two": (halves,) * 4}),
        transfer_figures.error_ratios({"eu_fe": 1.3, "mg_fe": 1.4}, {"eu_fe": False, "mg_fe": True}),
        transfer_figures.held_out_twice(test, prediction, prediction, names),
    ]
    for figure in figures:
        figure.canvas.draw()
        assert figure.get_size_inches()[0] == pytest.approx(6.4)
        plt.close(figure)
