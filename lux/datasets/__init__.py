"""Where surveys come from: `lux.load`, its three sources, and what fetches, reads and joins their files."""
