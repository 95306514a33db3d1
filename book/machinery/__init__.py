"""The machinery of the book: chapters in, a checked website out. `book/build.py` is its only entrance."""
