"""What is true of any near-infrared spectrum: pixels, chips, lines of elements and sky, finding a weak line."""
