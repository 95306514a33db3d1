"""Models that predict labels from spectra: Lux, its fit and its gauge, and the models it is compared with."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
