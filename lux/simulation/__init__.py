"""Synthetic surveys of planted truth: stars, spectra, what is planted, how they are observed, what can be known."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
