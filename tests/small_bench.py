"""The bench with two worlds of a kind, and what anybody would measure of a world: how deep the lines are."""

import numpy as np

N_WORLDS = 2 * (2 + 5 + 2 + 1 + 5)


def fall(flux, labels, column):
    design = np.column_stack([np.ones(len(flux)), (labels - labels.mean(axis=0)) / labels.std(axis=0)])
    return -np.linalg.lstsq(design, flux)[0][1 + column]
