"""Errors that a reader of the build's output can act on."""


class BuildError(Exception):
    """The build cannot go on; the message says what failed, where, and what to do."""
