"""Warnings that point to the line of who uses this package."""

import sys
import warnings

# Between a function and who calls it stand the frames of decorators.
_PASSED = ("lux", "contextlib")


def warn_user(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn as of the line that called into this package, through however many of its functions."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _PASSED:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)
