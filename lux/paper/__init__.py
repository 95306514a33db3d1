"""How a number, a table or a figure travels from a cell to a sentence of the book; nothing here is science."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
