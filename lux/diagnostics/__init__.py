"""What a fitted model does: how well it predicts, and from which of its latents, pixels and stars."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
