"""Where the paper was built whose site the tests read: in ``$LUX_BUILD``, else in ``_build``."""

import os
from pathlib import Path

BUILD = Path(os.environ.get("LUX_BUILD") or Path(__file__).resolve().parents[1] / "_build")
SITE = BUILD / "html"
