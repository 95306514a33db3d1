"""Is a label that a spectral model predicts *known* or *guessed*?

Names are imported from their modules on first use, so that ``import lux`` is quick and a chapter depends only on the
modules whose names it uses.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

__version__ = "0.1.0"
