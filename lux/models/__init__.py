"""Models that predict labels from spectra: Lux, its fit and its gauge, and the models it is compared with."""
