"""The ensemble holds each kind of world as often as it should."""

from lux.controls import ensemble
from lux.simulation.worlds import World


def test_the_ensemble_has_the_wanted_number_of_worlds_without_lines():
    listed = ensemble.cells(50)
    assert sum(cell.seeds for cell in listed if cell.world == World("shortcut")) == 200
    assert all(cell.seeds >= 50 for cell in listed)
    assert len({cell.key for cell in listed}) == len(listed)
    keys = {ensemble.depth_key(depth, tau) for depth in ensemble.DEPTHS for tau in ensemble.TAUS}
    keys |= {ensemble.beside_key(name, depth) for name in ensemble.BESIDES for depth in (0, ensemble.DEPTH_BESIDE)}
    assert keys | {"five-sigma"} == {cell.key for cell in listed}


def test_the_artefact_lies_where_the_sky_glows():
    from lux.spectroscopy.lines import airglow_lines

    (world,) = ensemble.BESIDES["artefact"]
    assert set(world.wavelengths) <= set(airglow_lines().wavelength.tolist())


def test_sized_cells_cover_sizes_generators_and_depths_once():
    listed = ensemble.sized_cells(10)
    assert len({cell.key for cell in listed}) == len(listed) == 2 * 3 * 4
    assert all(cell.seeds == (10 if hasattr(cell.world, "depth") else 20) for cell in listed)
    small = [cell for cell in listed if (cell.n_stars, cell.generator) == (600, "physical")]
    assert {cell.key for cell in small} <= {cell.key for cell in ensemble.cells(10)}
