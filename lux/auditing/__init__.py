"""The audit: from a model and a survey to the evidence, and from the evidence to a verdict."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
