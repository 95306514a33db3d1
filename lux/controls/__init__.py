"""The trial of the techniques: worlds of planted truth, one number a technique and world, and scores."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
