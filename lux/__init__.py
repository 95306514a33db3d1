"""Is a label that a spectral model predicts *known* or *guessed*?

Names are imported from their modules on first use, so that ``import lux`` is quick and a chapter depends only on the
modules whose names it uses.
"""

import importlib

_EXPORTS = {
    "Survey": "lux.survey",
    "Truth": "lux.survey",
    "load": "lux.datasets.load",
    "World": "lux.simulation.synthetic",
    "Lux": "lux.models.lux",
    "Prediction": "lux.models.prediction",
    "audit": "lux.auditing.verdict",
    "audit_all": "lux.auditing.verdict",
}

__version__ = "0.1.0"
__all__ = sorted(_EXPORTS)


def __getattr__(name: str):
    if name not in _EXPORTS:
        raise AttributeError(f"module 'lux' has no attribute {name!r}")
    return getattr(importlib.import_module(_EXPORTS[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_EXPORTS])
