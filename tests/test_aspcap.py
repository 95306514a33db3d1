"""The reader of spectra: genuine files of DR10, files as DR17 writes them, and what must not be taken for either."""

import io
import tarfile

import numpy as np
import pytest
from astropy.io import fits
from fixture_archive import spectrum_content

from lux.datasets.apogee_dr10 import ARCHIVE
from lux.datasets.aspcap import flux_and_ivar, read_aspcap_star, require_spectrum
from lux.datasets.sdist import obtain_archive
from lux.spectroscopy.instrument import N_PIXELS, on_chip
from lux.store.files import cache_dir

STAR = "2M03471806+2423268"


def content(star=STAR, flux=0.95, error=0.01):
    return spectrum_content(np.full(N_PIXELS, flux), np.full(N_PIXELS, error), star, "120+30", "apo25m")


def edited(change) -> bytes:
    """Return the file of DR17 after `change` was made to its HDUs."""
    with fits.open(io.BytesIO(content())) as file:
        change(file)
        buffer = io.BytesIO()
        file.writeto(buffer)
    return buffer.getvalue()


def test_genuine_spectra_of_dr10_are_read_and_know_their_star():
    """One in ten of the 553; fetches the archive once (35 MB) where no cache has it."""
    path, count = obtain_archive(ARCHIVE, cache=cache_dir(), progress=False), 0
    with tarfile.open(path, "r|gz") as archive:
        for member in archive:
            if "/aspcapStar-v304-" in member.name and (count := count + 1) % 10 == 0:
                star_id = member.name.removesuffix(".fits").rpartition("-v304-")[2]
                star = read_aspcap_star(archive.extractfile(member).read(), name=member.name, star_id=star_id)
                require_spectrum(star, member.name)
                _, ivar = flux_and_ivar(star.flux, star.error)
                assert 0.6 < np.mean(ivar[on_chip("dr10")] > 0) < 1
                assert not np.any(ivar[~on_chip("dr17")])
    assert count == 553


def test_a_file_of_dr17_is_read_from_bytes_and_from_disk(tmp_path):
    (tmp_path / "star.fits").write_bytes(content())
    for source in (content(), tmp_path / "star.fits"):
        star = read_aspcap_star(source, name="star.fits", star_id=STAR)
        assert star.flux.dtype == star.error.dtype == np.float32
        assert star.flux.dtype.isnative
        assert star.names == {STAR}


def test_bad_pixels_of_every_kind_are_masked():
    flux = np.array([0.9, np.nan, 0.0, -1.0, 0.9, 0.9, 0.9, 0.9, np.inf], np.float32)
    error = np.array([0.02, 0.02, 0.02, 0.02, np.nan, 0.0, 1e10, 0.11, 0.02], np.float32)
    flux, ivar = flux_and_ivar(flux, error)
    np.testing.assert_allclose(ivar, [2500, 0, 0, 0, 0, 0, 0, 0, 0], rtol=1e-6)
    np.testing.assert_array_equal(flux, np.array([0.9, *[1] * 8], np.float32))
    assert flux.dtype == ivar.dtype == np.float32


def test_the_file_of_another_star_is_refused():
    with pytest.raises(ValueError, match=r"names 2M03471806\+2423268, expected 2M00000000\+0000000"):
        read_aspcap_star(content(), name="x.fits", star_id="2M00000000+0000000")


def test_a_file_that_names_no_star_is_refused():
    def forget(file):
        file[4].columns.change_name("APOGEE_ID", "WHO")

    with pytest.raises(ValueError, match="names no star"):
        read_aspcap_star(edited(forget), name="x.fits", star_id=STAR)


def test_another_grid_is_refused():
    def shift(file):
        file[1].header["CRVAL1"] = 4.18

    with pytest.raises(ValueError, match=r"x\.fits lies on another grid: log10 wavelength starts at 4\.18 "):
        read_aspcap_star(edited(shift), name="x.fits")


def test_a_wrong_number_of_pixels_is_refused():
    def cut(file):
        file[1].data = file[1].data[:100]

    with pytest.raises(ValueError, match=r"holds flux of shape \(100,\), expected \(8575,\)"):
        read_aspcap_star(edited(cut), name="x.fits")


def test_a_file_cut_between_two_extensions_says_how_many_it_has():
    with fits.open(io.BytesIO(content())) as file:
        end = sum(file[2].fileinfo()[key] for key in ("datLoc", "datSpan"))
    with pytest.raises(ValueError, match=r"it has \d extensions of 5, as where it was cut"):
        read_aspcap_star(content()[:end], name="x.fits")


@pytest.mark.parametrize("size", [0, 100, 2880, 3000, 40_000, 77_760, 80_000, 110_000, 115_200, 117_000])
def test_a_file_cut_anywhere_is_refused(size):
    with pytest.raises(ValueError, match=r"x\.fits cannot be read as an aspcapStar file"):
        read_aspcap_star(content()[:size], name="x.fits")


def test_a_checksum_that_a_file_carries_is_verified():
    with fits.open(io.BytesIO(content())) as file:
        buffer = io.BytesIO()
        file.writeto(buffer, checksum=True)
    whole = buffer.getvalue()
    read_aspcap_star(whole, name="x.fits")
    place = whole.index(np.array(0.95, ">f8").tobytes())
    damaged = bytearray(whole)
    damaged[place + 400] ^= 0x10
    with pytest.raises(ValueError, match="cannot be read"):
        read_aspcap_star(bytes(damaged), name="x.fits")


@pytest.mark.parametrize(("flux", "error", "why"), [(250.0, 0.01, "not normalized"), (0.95, 1e10, "no usable pixel")])
def test_a_spectrum_of_no_use_is_refused(flux, error, why):
    with pytest.raises(ValueError, match=why):
        require_spectrum(read_aspcap_star(content(flux=flux, error=error), name="x.fits"), "x.fits")
