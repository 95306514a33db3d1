"""Where surveys come from: `lux.load`, its three sources, and what fetches, reads and joins their files."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
