"""What is true of any near-infrared spectrum: pixels, chips, lines of elements and sky, finding a weak line."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
