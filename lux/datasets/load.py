"""One loader for every data set: by name, or by the path of a saved survey."""

import os
from pathlib import Path
from typing import Any

from lux.survey import Survey

_NAMES = ("synthetic", "apogee-dr10", "apogee-galah")


def load(source: str | os.PathLike, **options: Any) -> Survey:
    """Load a survey.

    Parameters
    ----------
    source : str or path
        "synthetic" (options of `lux.simulation.synthetic.make_survey`: ``n_stars``, ``seed``, ``world``, ...),
        "apogee-dr10" (options of `lux.datasets.apogee_dr10.load_dr10`), "apogee-galah" (``n_stars`` and other options
        of `lux.datasets.apogee_galah.load_apogee_galah`; fetches what is missing), or the path of an HDF5 survey
        (option ``lazy``: leave its spectra on the disk, as `open` does).

    Raises
    ------
    ValueError
        If the name is unknown, or options are given with a path.
    FileNotFoundError
        If a path leads to no file, or data cannot be fetched.
    """
    if source == "synthetic":
        from lux.simulation.synthetic import make_survey

        return make_survey(**options)
    if source == "apogee-dr10":
        from lux.datasets.apogee_dr10 import load_dr10

        return load_dr10(**options)
    if source == "apogee-galah":
        from lux.datasets.apogee_galah import load_apogee_galah

        return load_apogee_galah(**options)
    path = Path(source)
    if not path.exists() and not path.suffix:
        raise ValueError(
            f"unknown data set {str(source)!r}; expected {', '.join(_NAMES)} or the path of a saved survey"
        )
    lazy = options.pop("lazy", False)
    if options:
        raise ValueError(f"a saved survey takes no option but lazy, got {', '.join(sorted(options))}")
    return Survey.open(path) if lazy else Survey.load(path)


def open(path: str | os.PathLike) -> Survey:
    """Open a saved survey and leave its spectra on the disk; see `lux.Survey.open`."""
    return Survey.open(path)
