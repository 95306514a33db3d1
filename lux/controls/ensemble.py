"""The ensemble: which kinds of world the techniques are tried on, and how many of each."""

import dataclasses
from collections.abc import Sequence

from lux.simulation.worlds import PLANTED_WAVELENGTHS, World

# Where europium has its lines if it has any: every technique that needs places gets these, in every world.
CANDIDATE_LINES = PLANTED_WAVELENGTHS[:3]

# Vacuum Angstrom: the candidate lines, those of the leak, and the proxy's; airglow crosses the second.
WINDOWS = (
    (15436, 15460),
    (15684, 15702),
    (16104, 16138),
    (16491, 16515),
    (16569, 16588),
    (16728, 16750),
    (16798, 16816),
)

# The airglow line in these windows, as `lux.spectroscopy.lines.airglow_lines` has it.
_ARTEFACT_WAVELENGTHS = (16128.608,)

DEPTHS = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1)

TAUS = (0.03, 0.06, 0.10)

# Stars of a survey, of which seven tenths train the models.
SIZES = (600, 1500, 4000)

# Where spectra come from: `lux.simulation.synthesis`, or `lux.simulation.empirical`.
GENERATORS = ("physical", "empirical")

# Depths at every size and of both generators.
SIZED_DEPTHS = (0.0, 0.003, 0.01, 0.03)

# What else can be planted, by itself or beside lines of europium of one depth.
BESIDES = {
    "proxy": (World("proxy"),),
    "leak": (World("leak"),),
    "artefact": (World("artefact", wavelengths=_ARTEFACT_WAVELENGTHS),),
}

DEPTH_BESIDE = 0.01

# Lines of that depth that hardly grow any more, and lines that only the cooler half of the stars has.
COOL = 4700.0
NONLINEAR = {
    "saturated": World("signal", depth=DEPTH_BESIDE, saturated=True),
    "cool stars": World("signal", depth=DEPTH_BESIDE, below_teff=COOL),
}

# A depth at which the optimal observer of `lux.simulation.cramer_rao` sees the lines of a sample at about five standard
# deviations.
DEPTH_OF_FIVE_SIGMA = 0.0027

LABEL = "eu_fe"


@dataclasses.dataclass(frozen=True)
class Cell:
    """One kind of world.

    Parameters
    ----------
    key : str
    world : World
        What is planted.
    tau : float
        Scatter of [Eu/Fe], one of `TAUS`.
    seeds : int
    n_stars : int
    generator : str
        One of `GENERATORS`.
    full_band : bool
        Whether the spectra have all pixels, not those of `WINDOWS` alone.
    """

    key: str
    world: World
    tau: float
    seeds: int
    n_stars: int = SIZES[0]
    generator: str = GENERATORS[0]
    full_band: bool = False

    @property
    def depth(self) -> float:
        """Of the lines of europium, zero without."""
        return getattr(self.world, "depth", 0.0)


def cells(n_seeds: int = 50, n_beside: int | None = None) -> tuple[Cell, ...]:
    """Return the cells of small physical surveys: `n_seeds` worlds each at the middle tau, twice as many without lines.

    All depths at all values of tau; and at the middle tau, without lines and with lines of `DEPTH_BESIDE`, each of
    `BESIDES`, which are planted alone and beside the lines. Of the outer values of tau and of what stands beside there
    are `n_beside` worlds each, by default as many.
    """
    middle, n_beside = TAUS[1], n_beside or n_seeds
    listed = []
    for tau in TAUS:
        for depth in DEPTHS:
            count = n_beside if tau != middle else n_seeds * (1 if depth else 2)
            listed.append(Cell(depth_key(depth, tau), _with_lines(depth), tau, count))
    listed.append(Cell("five-sigma", _with_lines(DEPTH_OF_FIVE_SIGMA), middle, n_seeds))
    for name, besides in BESIDES.items():
        for depth in (0.0, DEPTH_BESIDE):
            listed.append(Cell(beside_key(name, depth), _with_lines(depth, besides), middle, n_beside))
    return tuple(listed)


def sized_cells(
    n_seeds: int,
    sizes: Sequence[int] = SIZES,
    generators: Sequence[str] = GENERATORS,
    *,
    depths: Sequence[float] = SIZED_DEPTHS,
    full_band: bool = False,
) -> tuple[Cell, ...]:
    """Return the cells of several sizes and generators at the middle tau, with twice as many worlds without lines."""
    return tuple(
        Cell(
            sized_key(depth, n_stars, generator, full_band=full_band),
            _with_lines(depth),
            TAUS[1],
            n_seeds * (1 if depth else 2),
            n_stars,
            generator,
            full_band,
        )
        for generator in generators
        for n_stars in sizes
        for depth in depths
    )


def _with_lines(depth: float, besides: tuple[World, ...] = ()) -> World:
    return World("signal", depth=depth, also=besides) if depth else World("shortcut", also=besides)


def beside_key(name: str, depth: float = 0.0) -> str:
    """Return the key of the cell where one of `BESIDES` is planted, alone or beside lines of a depth."""
    return f"{name}-beside-{depth:g}" if depth else name


def depth_key(depth: float, tau: float = TAUS[1]) -> str:
    """Return the key of the cell with lines of a depth, 0 for none, at a scatter tau."""
    return f"depth-{depth:g}-tau-{tau:g}"


def sized_key(depth: float, n_stars: int = SIZES[0], generator: str = GENERATORS[0], *, full_band: bool = False) -> str:
    """Return the key of a cell of a size and generator; that of `depth_key` for small physical surveys."""
    if (n_stars, generator, full_band) == (SIZES[0], GENERATORS[0], False):
        return depth_key(depth)
    return f"{depth_key(depth)}-{n_stars}-{generator}{'-full-band' if full_band else ''}"
