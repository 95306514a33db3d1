"""Assembly: one file of many, in bounded memory, going on after a break, never from the wrong pieces."""

import dataclasses
import tracemalloc

import numpy as np
import pytest
from fixture_archive import spectrum_content

from lux.datasets import assembly
from lux.datasets.assembly import SpectrumFile, assemble, star_table
from lux.spectroscopy.instrument import N_PIXELS, on_chip
from lux.survey import Survey

N_ON_CHIP = int(np.count_nonzero(on_chip("dr17")))


def spectra(folder, count):
    """Spectra whose flux tells the star: 0.5 + number / 1000."""
    folder.mkdir(exist_ok=True)
    files = []
    for number in range(count):
        star, path = f"2M{number:08d}+0000000", folder / f"{number}.fits"
        if not path.exists():
            flux, error = np.full(N_PIXELS, 0.5 + number / 1000), np.full(N_PIXELS, 0.01)
            error[300] = 1e10 if number else 0.01
            path.write_bytes(spectrum_content(flux, error, star, "field", "apo25m"))
        files.append(SpectrumFile(path, star))
    return files


def table(count):
    return star_table(
        labels=np.arange(count, dtype=float)[:, None],
        label_err=np.ones((count, 1)),
        label_names=["fe_h"],
        star_id=np.array([f"2M{number:08d}+0000000" for number in range(count)]),
        catalogue={"snr": np.full(count, 100.0)},
        provenance={"source": "test"},
    )


def make(tmp_path, count=30, **options):
    path = tmp_path / "survey.h5"
    assemble(path, table(count), spectra(tmp_path / "spectra", count), block_stars=8, progress=False, **options)
    return Survey.load(path)


def test_spectra_stand_with_their_stars_and_dead_pixels_are_dropped(tmp_path):
    survey = make(tmp_path)
    assert survey.n_pixels == N_ON_CHIP - 1, "one star in thirty is less than 5 % of them"
    np.testing.assert_allclose(survey.flux[:, 0], 0.5 + survey.labels[:, 0] / 1000, rtol=1e-6)
    assert survey.flux.dtype == np.float32
    assert survey.provenance == {"source": "test"}
    assert [path.name for path in tmp_path.iterdir() if path.name != "spectra"] == ["survey.h5"]


def test_an_assembly_goes_on_where_it_was_broken_off(tmp_path, monkeypatch):
    files, read = spectra(tmp_path / "spectra", 30), []
    original = assembly.read_aspcap_star

    def counting(path, **options):
        read.append(path)
        if len(read) == 20:
            raise KeyboardInterrupt
        return original(path, **options)

    monkeypatch.setattr(assembly, "read_aspcap_star", counting)
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path)
    assert not (tmp_path / "survey.h5").exists()
    survey = make(tmp_path)
    assert len(read) == 20 + 30 - 16, "the two blocks that were done are not read again"
    np.testing.assert_allclose(survey.flux[:, 0], 0.5 + np.arange(30) / 1000, rtol=1e-6)
    assert len(files) == 30


def test_a_damaged_block_is_made_again(tmp_path, monkeypatch):
    monkeypatch.setattr(assembly, "write_survey", lambda *arguments, **options: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        make(tmp_path)
    monkeypatch.undo()
    blocks = sorted((tmp_path / ".survey.h5.blocks").iterdir())
    assert len(blocks) == 4
    blocks[0].write_bytes(blocks[0].read_bytes()[:5000])
    content = bytearray(blocks[1].read_bytes())
    content[len(content) // 3] ^= 1
    blocks[1].write_bytes(content)
    np.testing.assert_allclose(make(tmp_path).flux[:, 0], 0.5 + np.arange(30) / 1000, rtol=1e-6)


def test_blocks_of_other_stars_are_not_used(tmp_path, monkeypatch):
    monkeypatch.setattr(assembly, "write_survey", lambda *arguments, **options: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        make(tmp_path)
    monkeypatch.undo()
    files = spectra(tmp_path / "spectra", 30)[::-1]
    assemble(tmp_path / "survey.h5", table(30), files, block_stars=8, progress=False)
    assert np.isclose(Survey.load(tmp_path / "survey.h5").flux[0, 0], 0.529)


def test_a_star_whose_file_is_missing_or_wrong_is_named(tmp_path):
    files = spectra(tmp_path / "spectra", 10)
    files[4].path.write_bytes(files[5].path.read_bytes())
    with pytest.raises(ValueError, match=r"4\.fits names 2M00000005\+0000000, expected 2M00000004.*run again"):
        assemble(tmp_path / "survey.h5", table(10), files, progress=False)
    with pytest.raises(FileNotFoundError, match=r"4\.fits"):
        assemble(tmp_path / "survey.h5", table(10), files, progress=False)


def test_a_table_of_another_length_is_refused(tmp_path):
    with pytest.raises(ValueError, match="10 spectra came for the 9 stars"):
        assemble(tmp_path / "survey.h5", table(9), spectra(tmp_path / "spectra", 10), progress=False)
    assert not (tmp_path / "survey.h5").exists()


def test_memory_does_not_grow_with_the_number_of_stars(tmp_path):
    files = spectra(tmp_path / "spectra", 8)

    def peak(count):
        repeated = [files[number % 8] for number in range(count)]
        tracemalloc.start()
        assemble(tmp_path / f"{count}.h5", table(count), repeated, block_stars=8, progress=False)
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    peak(8)
    assert peak(80) < 1.1 * peak(24) + 1e5


def test_a_block_of_spectra_that_were_replaced_since_is_made_again(tmp_path, monkeypatch):
    monkeypatch.setattr(assembly, "write_survey", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path)
    monkeypatch.undo()
    path = tmp_path / "spectra" / "3.fits"
    other = spectrum_content(np.full(N_PIXELS, 0.9), np.full(N_PIXELS, 0.01), "2M00000003+0000000", "field", "apo25m")
    assert len(other) == path.stat().st_size
    path.write_bytes(other)
    np.testing.assert_allclose(make(tmp_path).flux[2:5].mean(axis=1), [0.502, 0.9, 0.504], atol=1e-3)


def test_a_spectrum_that_is_not_as_it_was_fetched_is_set_aside(tmp_path):
    files = spectra(tmp_path / "spectra", 2)
    files[1] = dataclasses.replace(files[1], sha256="0" * 64)
    with pytest.raises(ValueError, match=r"1\.fits is not as it was fetched; it was set aside as .*run again"):
        assemble(tmp_path / "survey.h5", table(2), files, progress=False)
    assert [path.name for path in sorted((tmp_path / "spectra").iterdir())] == ["0.fits", "1.fits.unusable"]
