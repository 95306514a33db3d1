"""Synthetic surveys of planted truth: stars, their spectra, what is planted in them, how they are observed, and what
can be known."""
