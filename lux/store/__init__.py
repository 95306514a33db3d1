"""What a result depends on, and the products that are kept under a key of all that."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
