"""The catalogue readers: what real tables hold, and what must not be believed."""

import tracemalloc

import numpy as np
import pytest
from astropy.io import fits
from fixture_archive import write_table

from lux.datasets import catalogues
from lux.datasets.catalogues import APOGEE_COLUMNS, GALAH_COLUMNS, Column, read_apogee, read_columns, read_galah

BIG = 3_141_592_653_589_793_238
NUMBERS = {
    "RA": 10.0, "DEC": -20.0, "GAIAEDR3_PMRA": 1.0, "GAIAEDR3_PMDEC": 2.0, "SNR": 150.0, "VHELIO_AVG": -30.0,
    "TEFF": 4700.0, "LOGG": 2.4, "M_H": -0.3, "TEFF_ERR": 9.0, "M_H_ERR": 0.01, "ALPHA_M": 0.1,
}  # fmt: skip


def apogee_rows(n_rows=5):
    """Columns of an allStar table in the types of the release, some that nobody asks for among them."""
    return {
        "FILE": np.full(n_rows, b"apStar.fits", "S64"),
        **{name: np.full(n_rows, value, np.float32 if name != "RA" else np.float64) for name, value in NUMBERS.items()},
        "FPARAM": np.zeros((n_rows, 20), np.float32),
        "GAIAEDR3_SOURCE_ID": np.full(n_rows, BIG, np.int64) + np.arange(n_rows),
        "STARFLAG": np.zeros(n_rows, np.int64),
        "ASPCAPFLAG": np.full(n_rows, 1 << 41, np.int64),
        "APOGEE_ID": np.array([f"2M000000{n:02d}+0000000" for n in range(n_rows)], "S30"),
        "TELESCOPE": np.full(n_rows, b"lco25m", "S8"),
        "FIELD": np.full(n_rows, b"47TUC", "S19"),
    }


def galah_rows(n_rows=5):
    rows = {
        "star_id": np.array([f"000000{n:02d}+0000000" for n in range(n_rows)], "S16"),
        "sobject_id": np.full(n_rows, 140_303_000_401_001, np.int64),
        "dr3_source_id": np.full(n_rows, BIG, np.int64),
        "flag_sp": np.zeros(n_rows, np.int64),
    }
    for name in ("teff", "logg", "fe_h", "Eu_fe"):
        rows |= {name: np.full(n_rows, 1.0, np.float32), f"e_{name}": np.full(n_rows, 0.1, np.float32)}
    rows |= {name: np.zeros(n_rows, np.int64) for name in ("flag_fe_h", "flag_Eu_fe")}
    return rows | {f"snr_c{camera}_iraf": np.full(n_rows, 50.0, np.float32) for camera in (1, 2, 3, 4)}


def write(path, rows):
    write_table(path, rows)
    return path


def test_values_come_in_the_order_of_the_machine_with_all_their_digits(tmp_path):
    table = read_apogee(write(tmp_path / "a.fits", apogee_rows()))
    assert set(table) == set(APOGEE_COLUMNS)
    assert all(column.dtype.isnative for column in table.values())
    assert table["gaia_id"].tolist() == [BIG + n for n in range(5)]
    assert table["aspcapflag"].tolist() == [1 << 41] * 5
    assert table["telescope"].tolist() == ["lco25m"] * 5
    assert table["apogee_id"][3] == "2M00000003+0000000"
    assert np.all(table["aspcap_teff"] == 4700.0)


def test_galah_labels_come_with_errors_and_flags(tmp_path):
    table = read_galah(write(tmp_path / "g.fits", galah_rows()), ["teff", "eu_fe"])
    assert set(table) == {*GALAH_COLUMNS, "teff", "e_teff", "eu_fe", "e_eu_fe", "flag_eu_fe"}
    assert table["galah_2mass"][0] == "00000000+0000000"


@pytest.mark.parametrize("column", [column.name for column in APOGEE_COLUMNS.values()])
def test_a_missing_apogee_column_is_named(tmp_path, column):
    rows = apogee_rows()
    del rows[column]
    with pytest.raises(ValueError, match=f"a.fits has no column '{column}'"):
        read_apogee(write(tmp_path / "a.fits", rows))


def test_a_missing_galah_label_is_named_with_what_resembles_it(tmp_path):
    path = write(tmp_path / "g.fits", galah_rows())
    with pytest.raises(ValueError, match=r"has no column 'u_fe' among its \d+; similar: .*Eu_fe"):
        read_galah(path, ["u_fe"])


def test_order_case_and_further_columns_do_not_matter(tmp_path):
    rows = {name.lower(): column for name, column in reversed(apogee_rows().items())} | {"new": np.arange(5)}
    assert read_apogee(write(tmp_path / "a.fits", rows))["gaia_id"][1] == BIG + 1


@pytest.mark.parametrize("dtype", [np.int32, np.float64, np.float32])
def test_identifiers_that_lost_their_last_digits_are_refused(tmp_path, dtype):
    rows = apogee_rows()
    rows["GAIAEDR3_SOURCE_ID"] = np.zeros(5, dtype)
    with pytest.raises(ValueError, match=r"'GAIAEDR3_SOURCE_ID' .* loses their last digits"):
        read_apogee(write(tmp_path / "a.fits", rows))


def test_the_highest_of_32_flags_sets_no_others(tmp_path):
    rows = apogee_rows()
    rows["STARFLAG"] = np.full(5, -(2**31) + 8, np.int32)
    assert read_apogee(write(tmp_path / "a.fits", rows))["starflag"].tolist() == [(1 << 31) + 8] * 5


def test_missing_values_of_every_kind_are_missing(tmp_path):
    rows = apogee_rows()
    rows["TEFF"] = np.array([np.nan, -9999.0, 4000.0, -9999.99, np.inf], np.float32)
    rows["VHELIO_AVG"] = np.array([999999.0, -9999.0, 12.0, np.nan, -400.0], np.float32)
    rows["GAIAEDR3_SOURCE_ID"] = np.array([0, -1, BIG, -9999, -(2**63)])
    table = read_apogee(write(tmp_path / "a.fits", rows))
    np.testing.assert_array_equal(table["aspcap_teff"], [np.nan, np.nan, 4000.0, np.nan, np.nan])
    np.testing.assert_array_equal(table["radial_velocity"], [np.nan, np.nan, 12.0, np.nan, -400.0])
    assert table["gaia_id"].tolist() == [0, 0, BIG, 0, 0]


@pytest.mark.parametrize("block_bytes", [1, 2**20])
def test_null_values_and_scales_are_applied_in_every_block(tmp_path, monkeypatch, block_bytes):
    monkeypatch.setattr(catalogues, "BLOCK_BYTES", block_bytes)
    columns = [
        fits.Column("id", "K", array=np.array([-7, BIG]), null=-7),
        fits.Column("flag", "J", array=np.array([99, 2], np.int32), null=99),
        fits.Column("unsigned", "J", array=np.array([0, 2**32 - 1], np.uint32), bzero=2**31),
        fits.Column("scaled", "I", array=np.array([2, 4], np.int16)),
        fits.Column("flag_as_number", "E", array=np.array([np.nan, 3.0], np.float32)),
        fits.Column("padded", "8A", array=np.array(["a b  ", "c"])),
    ]
    fits.BinTableHDU.from_columns(columns).writeto(tmp_path / "t.fits")
    fits.setval(tmp_path / "t.fits", "TSCAL4", value=2.0, ext=1)
    fits.setval(tmp_path / "t.fits", "TZERO4", value=1.0, ext=1)
    kinds = {
        "id": "id",
        "flag": "flag",
        "unsigned": "flag",
        "scaled": "number",
        "flag_as_number": "flag",
        "padded": "text",
    }
    table = read_columns(tmp_path / "t.fits", {name: Column(name, kind) for name, kind in kinds.items()})
    assert table["id"].tolist() == [0, BIG]
    assert table["flag"].tolist() == [-1, 2], "a flag that is missing counts as all flags"
    assert table["unsigned"].tolist() == [0, 2**32 - 1]
    assert table["scaled"].tolist() == [5, 9]
    assert table["flag_as_number"].tolist() == [-1, 3]
    assert table["padded"].tolist() == ["a b", "c"]


def test_text_ends_at_a_zero_byte(tmp_path):
    rows = apogee_rows()
    path = write(tmp_path / "a.fits", rows)
    path.write_bytes(path.read_bytes().replace(b"lco25m\0\0", b"lco25m\0x"))
    assert read_apogee(path)["telescope"].tolist() == ["lco25m"] * 5


def test_a_column_of_arrays_or_of_another_kind_is_refused(tmp_path):
    rows = apogee_rows()
    rows["SNR"] = np.zeros((5, 3), np.float32)
    with pytest.raises(ValueError, match=r"'SNR' .* arrays of shape \(3,\)"):
        read_apogee(write(tmp_path / "a.fits", rows))
    rows["SNR"] = np.full(5, b"high", "S4")
    with pytest.raises(ValueError, match=r"'SNR' .* expected a number"):
        read_apogee(write(tmp_path / "b.fits", rows))


@pytest.mark.parametrize("damage", ["truncated", "no table", "no FITS", "empty"])
def test_a_file_that_is_no_whole_table_is_refused(tmp_path, damage):
    path = write(tmp_path / "a.fits", apogee_rows(100))
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:-15000])
    elif damage == "no table":
        fits.PrimaryHDU(np.zeros(3)).writeto(path, overwrite=True)
    else:
        path.write_bytes(b"" if damage == "empty" else b"<html>not found</html>" * 500)
    for read in (read_apogee, lambda path: catalogues.check_columns(path, APOGEE_COLUMNS)):
        with pytest.raises(ValueError, match=r"a\.fits (is truncated|cannot be read|holds no FITS table)"):
            read(path)
    with pytest.raises(FileNotFoundError, match="no catalogue at"):
        read_apogee(tmp_path / "absent.fits")


def test_a_large_table_is_read_without_holding_it(tmp_path, monkeypatch):
    monkeypatch.setattr(catalogues, "BLOCK_BYTES", 2**20)
    rows = apogee_rows(4000) | {"WIDE": np.zeros((4000, 1000), np.float32)}
    path = write(tmp_path / "a.fits", rows)
    expected = rows["GAIAEDR3_SOURCE_ID"]
    del rows
    tracemalloc.start()
    table = read_apogee(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.array_equal(table["gaia_id"], expected)
    assert peak < 8e6 < path.stat().st_size / 2


def test_a_catalogue_without_a_row_or_against_its_own_checksum_is_not_accepted(tmp_path):
    with pytest.raises(ValueError, match=r"the table of .*a\.fits has no row"):
        catalogues.check_columns(write(tmp_path / "a.fits", apogee_rows(0)), APOGEE_COLUMNS)
    path = write(tmp_path / "b.fits", apogee_rows(100))
    with fits.open(path) as file:
        file.writeto(tmp_path / "c.fits", checksum=True)
    catalogues.check_columns(tmp_path / "c.fits", APOGEE_COLUMNS)
    content = bytearray((tmp_path / "c.fits").read_bytes())
    content[-6000:-4000] = bytes(2000)
    (tmp_path / "c.fits").write_bytes(content)
    with pytest.raises(ValueError, match="not that of its own checksum"):
        catalogues.check_columns(tmp_path / "c.fits", APOGEE_COLUMNS)
