"""Files and columns: what those of users mean, how ours are written, and products kept by what they depend on."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
