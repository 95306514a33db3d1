"""FITS files are opened without a trace on the process, and must be whole."""

import io
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from astropy.io import fits

from lux.store import fits_files
from lux.store.fits_files import open_fits, require_table_sum, require_whole


def content(checksum=False):
    buffer = io.BytesIO()
    images = [fits.ImageHDU(np.full(3000, value, np.float32)) for value in (0.5, 0.25)]
    fits.HDUList([fits.PrimaryHDU(), *images]).writeto(buffer, checksum=checksum)
    return buffer.getvalue()


def check(file: bytes, size: int | None = None):
    with open_fits(io.BytesIO(file), memmap=False) as opened:
        require_whole(opened, len(file) if size is None else size)
        return float(opened[1].data[0])


def test_a_whole_file_passes_with_and_without_checksums():
    assert check(content()) == check(content(checksum=True)) == 0.5


def test_the_extension_that_a_file_lacks_is_named():
    with pytest.raises(ValueError, match=r"it has 20000 bytes where the data of extension 2 end at \d+"):
        check(content(), 20_000)


def test_a_checksum_that_a_file_carries_is_verified():
    damaged = bytearray(content(checksum=True))
    damaged[damaged.index(np.array(0.25, ">f4").tobytes()) + 400] ^= 0x10
    with pytest.raises(ValueError, match="the checksum of extension 2 is not that of its content"):
        check(bytes(damaged))


def test_many_threads_leave_no_mark_on_the_filters_of_warnings():
    whole, filters = content(), list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda _: check(whole), range(40))) == [0.5] * 40
    assert warnings.filters == filters


def test_the_checksum_of_a_table_is_verified_a_part_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(fits_files, "_PART", 2880)
    rows = np.zeros(4000, [("a", ">i8"), ("b", "S3")])
    rows["a"] = np.random.default_rng(0).integers(-(2**62), 2**62, len(rows))
    for checksum in (True, False):
        path = tmp_path / f"{checksum}.fits"
        fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU(rows)]).writeto(path, checksum=checksum)
        with open_fits(path) as file:
            require_table_sum(path, file)
        damaged = bytearray(path.read_bytes())
        damaged[-30_000] ^= 1
        path.write_bytes(damaged)
        with open_fits(path) as file:
            if not checksum:
                require_table_sum(path, file)
                continue
            with pytest.raises(ValueError, match=r"the table of True.fits is not that of its own checksum"):
                require_table_sum(path, file)
