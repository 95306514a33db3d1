"""Files: where they are kept and how they are written; that of a survey; products kept by what they depend on."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
