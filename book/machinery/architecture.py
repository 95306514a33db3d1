"""The picture of the imports between the rooms of the package, read off its source when the book is built."""

import tomllib
from collections import Counter

from lux.figures.architecture import import_matrix
from lux.paper.record import Record


def room_imports(package):
    """Return how many modules of a room import from another one, (room, room) -> count.

    A module at the top level is a room by itself; what a function imports when it runs is not counted.
    """
    counts = Counter()
    for name, module in package.modules.items():
        imported = {other for other in module.imported if other in package.modules and other != package.name}
        importer = _room(name)
        counts.update((importer, room) for room in {_room(other) for other in imported} - {importer})
    return {pair: count for pair, count in counts.items() if "" not in pair}


def rooms_from_the_top(root):
    """Return the rooms in the order of the contract on imports in pyproject.toml: none imports from one before it."""
    configuration = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    layers = configuration["tool"]["importlinter"]["contracts"][0]["layers"]
    return [room.strip().removeprefix("lux.") for layer in layers for room in layer.split("|")]


def draw_rooms(package, folder):
    """Record the picture in `folder`, as a chapter records its figures."""
    counts = room_imports(package)
    involved = {room for pair in counts for room in pair}
    rooms = [room for room in rooms_from_the_top(package.folder.parent) if room in involved]
    record = Record("architecture", folder=folder)
    record.figure(
        import_matrix(rooms, counts),
        "rooms",
        alt=f"Matrix of {len(rooms)} rooms by {len(rooms)}: which room imports from which, and from how many modules. "
        f"From {rooms[0]} down to {rooms[-1]}, all {len(counts)} marks lie above the diagonal, so that no room imports "
        "from one above it.",
    )


def _room(module):
    return [*module.split("."), ""][1]
