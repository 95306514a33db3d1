"""The ensemble holds each kind of world as often as it should."""

from lux import controls
from lux.simulation.worlds import World


def test_the_ensemble_has_the_wanted_number_of_worlds_without_lines():
    ensemble = controls.cells(50)
    assert sum(cell.seeds for cell in ensemble if cell.world == World("shortcut")) == 200
    assert all(cell.seeds >= 50 for cell in ensemble)
    assert len({cell.key for cell in ensemble}) == len(ensemble)
    keys = {controls.depth_key(depth, tau) for depth in controls.DEPTHS for tau in controls.TAUS}
    keys |= {controls.beside_key(name, depth) for name in controls.BESIDES for depth in (0, controls.DEPTH_BESIDE)}
    assert keys | {"five-sigma"} == {cell.key for cell in ensemble}


def test_the_artefact_lies_where_the_sky_glows():
    from lux.spectroscopy.lines import airglow_lines

    (world,) = controls.BESIDES["artefact"]
    assert set(world.wavelengths) <= set(airglow_lines().wavelength.tolist())


def test_sized_cells_cover_sizes_generators_and_depths_once():
    ensemble = controls.sized_cells(10)
    assert len({cell.key for cell in ensemble}) == len(ensemble) == 2 * 3 * 4
    assert all(cell.seeds == (10 if hasattr(cell.world, "depth") else 20) for cell in ensemble)
    small = [cell for cell in ensemble if (cell.n_stars, cell.generator) == (600, "physical")]
    assert {cell.key for cell in small} <= {cell.key for cell in controls.cells(10)}
