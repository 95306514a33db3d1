"""Files of the surveys, in the layouts that they document, are read by specutils and become a survey."""

import builtins
import gzip
import types

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.nddata import InverseVariance
from astropy.table import QTable, Table
from astropy.utils.masked import Masked
from small_spectra import COARSE, GRID, made, ones

from lux.spectroscopy.lines import air_to_vacuum
from lux.store.spectrum_files import _EXTENSION

# APOGEE's grid, log10 of Angstrom.
CRVAL, CDELT, N_PIXELS = 4.179, 6e-6, 8575
APOGEE = 10 ** (CRVAL + CDELT * np.arange(N_PIXELS))


def image(data, unit, name=None):
    hdu = fits.ImageHDU(np.asarray(data), name=name)
    hdu.header["BUNIT"] = unit
    hdu.header["CRVAL1"], hdu.header["CDELT1"], hdu.header["CRPIX1"] = CRVAL, CDELT, 1
    return hdu


def write_apstar(path, flux, sdss_v=True):
    """Write an apStar file of a combined spectrum, above a visit of another flux."""
    primary = fits.PrimaryHDU()
    primary.header["OBJID"] = "2M00000000+0000000"
    primary.header["NVISITS"] = 2
    primary.header["SFILE1"] = "apVisit-r12-1-1.fits"
    primary.header["HISTORY"] = "APOGEE Reduction Pipeline"
    if sdss_v:
        primary.header["APRED"] = "1.3"
    mask = np.zeros((2, N_PIXELS), np.int32)
    mask[0, 100] = 1
    rows, errors = np.stack([flux, np.full(N_PIXELS, 7.0)]), np.full((2, N_PIXELS), 0.02)
    flux_unit, error_unit = "Flux (10^-17 erg/s/cm^2/Ang)", "Err (10^-17 erg/s/cm^2/Ang)"
    hdus = [primary, image(rows, flux_unit), image(errors, error_unit), image(mask, "Pixel mask (bitwise)")]
    hdus += [image(np.zeros((2, 10)), "none") for _ in range(6 if sdss_v else 1)]
    fits.HDUList(hdus).writeto(path)


FLUX = 1 - 0.3 * np.exp(-0.5 * ((APOGEE - 15800) / 0.5) ** 2)


@pytest.mark.parametrize("sdss_v", [True, False])
def test_of_an_apstar_file_the_combined_spectrum_is_read(tmp_path, sdss_v):
    paths = [tmp_path / f"apStar-{name}.fits" for name in ("first", "second")]
    for path, depth in zip(paths, (1.0, 0.5), strict=True):
        write_apstar(path, 1 + depth * (FLUX - 1), sdss_v)
    survey = made(paths, labels={"teff": [4500.0, 4600.0]}, label_err=50.0, continuum=ones)
    np.testing.assert_allclose(survey.wavelength, APOGEE, rtol=1e-9)
    np.testing.assert_allclose(survey.flux[0][~(survey.ivar[0] == 0)], FLUX[~(survey.ivar[0] == 0)], rtol=1e-6)
    assert (survey.ivar[0, 100] == 0) == sdss_v
    assert survey.star_id.tolist() == ["apStar-first", "apStar-second"]
    assert made(str(paths[0]), wavelength=COARSE, continuum=ones).n_stars == 1


@pytest.mark.parametrize("sdss_v", [True, False])
def test_an_apstar_file_of_one_visit_is_read(tmp_path, sdss_v):
    path = tmp_path / "apStar-one.fits"
    write_apstar(path, FLUX, sdss_v)
    with fits.open(path, mode="update") as hdus:
        hdus[0].header["NVISITS"] = 1
        for hdu in hdus[1:4]:
            hdu.data = hdu.data[0].copy()
    survey = made(path, continuum=ones)
    good = survey.ivar[0] > 0
    np.testing.assert_allclose(survey.wavelength, APOGEE, rtol=1e-9)
    np.testing.assert_allclose(survey.flux[0][good], FLUX[good], rtol=1e-6)
    assert np.count_nonzero(~good) == sdss_v
    with pytest.raises(ValueError, match=r"is in .*erg.*, so not divided by its continuum"):
        made(path)


NAMES = {
    "J1234+56.7.fits": "J1234+56.7",
    "J1234+56.8.fits.gz": "J1234+56.8",
    "star.v2.FITS": "star.v2",
    "spec.3.ecsv": "spec.3",
    "noextension": "noextension",
    "mwmStar-0.6.0-54.fits": "mwmStar-0.6.0-54",
}


@pytest.mark.parametrize(("name", "star"), NAMES.items())
def test_of_the_name_of_a_file_only_its_known_extension_is_cut(name, star):
    assert _EXTENSION.sub("", name) == star


def test_files_of_one_name_in_two_folders_have_the_folder_in_their_names(tmp_path):
    for folder in ("first", "second"):
        (tmp_path / folder).mkdir()
        write_galah(tmp_path / folder / "J1234+56.7.fits")
    write_galah(tmp_path / "J1234+56.8.fits")
    survey = made([*sorted(tmp_path.glob("*/*.fits")), tmp_path / "J1234+56.8.fits"])
    assert survey.star_id.tolist() == ["first/J1234+56.7", "second/J1234+56.7", "J1234+56.8"]


def test_an_aspcapstar_file_is_read(tmp_path):
    names = fits.BinTableHDU(Table({"ASPCAPFLAG": [0]}))
    hdus = [fits.PrimaryHDU(), image(FLUX, "a"), image(np.full(N_PIXELS, 0.01), "a"), image(FLUX, "a"), names]
    fits.HDUList(hdus).writeto(tmp_path / "aspcapStar-star.fits")
    survey = made([tmp_path / "aspcapStar-star.fits"])
    np.testing.assert_allclose(survey.flux[0], FLUX, rtol=1e-6)
    np.testing.assert_allclose(survey.ivar[0], 1e4, rtol=1e-5)


def mwm_table(wavelength, flux, name, n_rows=1):
    row = {"wavelength": [wavelength], "flux": [flux], "ivar": [np.full(len(flux), 1e4)]}
    row |= {"pixel_flags": [np.where(np.arange(len(flux)) == 3, 4, 0)], "snr": [100.0], "telescope": ["apo25m"]}
    row |= {"sdss_id": [54.0], "min_mjd": [59000], "max_mjd": [60000]}
    hdu = fits.BinTableHDU(Table(row)[:n_rows], name=name)
    return hdu


def test_the_instruments_of_a_mwmstar_file_are_put_together(tmp_path):
    boss = 10 ** (3.56 + 1e-4 * np.arange(4000))
    primary = fits.PrimaryHDU()
    primary.header["V_ASTRA"], primary.header["SDSS_ID"] = "0.6.0", 54
    tables = [
        mwm_table(boss, np.ones(4000), "BOSS/APO"),
        mwm_table(boss, np.ones(4000), "BOSS/LCO", n_rows=0),
        mwm_table(APOGEE, FLUX, "APOGEE/APO"),
        mwm_table(APOGEE, FLUX, "APOGEE/LCO"),
    ]
    path = tmp_path / "mwmStar-0.6.0-54.fits"
    fits.HDUList([primary, *tables]).writeto(path, checksum=True)
    with pytest.raises(ValueError, match="lies on another wavelength grid than the first, 8575 pixels"):
        made(path)
    survey = made(path, wavelength=APOGEE, continuum=ones)
    assert survey.ivar[0, 3] == 0
    good = survey.ivar[0] > 0
    np.testing.assert_allclose(survey.flux[0][good], FLUX[good], rtol=1e-5)
    np.testing.assert_allclose(survey.ivar[0][good], 2e4, rtol=1e-5)
    assert np.all(made(path, wavelength=np.linspace(4000, 9000, 50), continuum=ones).ivar > 0)


DESI = {"b": np.arange(3600, 5800.1, 4.0), "r": np.arange(5760, 7620.1, 4.0), "z": np.arange(7520, 9824.1, 4.0)}


def write_desi(path, coadd=True):
    """Write three stars whose flux is 1, 2 and 3, the second with a bad pixel in the arm b."""
    primary = fits.PrimaryHDU()
    if coadd:
        primary.header["INFIL000"] = "spectra.fits"
    hdus = [primary, fits.BinTableHDU(Table({"TARGETID": [39627, 39628, 39629]}), name="FIBERMAP")]
    for band, wavelength in DESI.items():
        flux = np.outer([1.0, 2.0, 3.0], np.ones_like(wavelength)).astype("f4")
        mask = np.zeros(flux.shape, np.int32)
        if band == "b":
            flux[1, 50], mask[1, 50] = -1e6, 2
        for name, data, unit in (
            ("WAVELENGTH", wavelength, "Angstrom"),
            ("FLUX", flux, "10**-17 erg/(s cm2 Angstrom)"),
            ("IVAR", np.full(flux.shape, 400, "f4"), "10**+34 (s2 cm4 Angstrom2) / erg2"),
            ("MASK", mask, None),
        ):
            hdus.append(fits.ImageHDU(data, name=f"{band.upper()}_{name}"))
            if unit:
                hdus[-1].header["BUNIT"] = unit
    fits.HDUList([*hdus, fits.BinTableHDU(Table({"TSNR2": [1.0, 2.0, 3.0]}), name="SCORES")]).writeto(path)


@pytest.mark.parametrize("name", ["coadd-main-bright-27245.fits", "spectra-main-bright-27245.fits"])
def test_a_desi_file_gives_all_its_stars_with_their_arms_put_together(tmp_path, name):
    write_desi(tmp_path / name, coadd=name.startswith("coadd"))
    grid = np.arange(3700, 9800, 4.0)
    survey = made(tmp_path / name, wavelength=grid, continuum=ones)
    assert survey.star_id.tolist() == ["39627", "39628", "39629"]
    np.testing.assert_allclose(survey.flux[survey.ivar > 0], np.repeat([1, 2, 3], (survey.ivar > 0).sum(axis=1)))
    assert np.count_nonzero(survey.ivar == 0) == 1
    assert survey.ivar[1, np.argmin(np.abs(grid - DESI["b"][50]))] == 0
    both = (grid > 5764) & (grid < 5796)
    np.testing.assert_allclose(survey.ivar[0, both], 800, rtol=1e-5)
    catalogue = Table({"TARGETID": [39629, 39627], "FE_H": [-1.0, 0.1], "FE_H_ERR": [0.1, 0.1]})
    joined = survey.with_labels(catalogue, star_id="TARGETID")
    assert joined.label("fe_h").tolist() == [0.1, -1.0]
    with pytest.raises(ValueError, match="as wavelength="):
        made(tmp_path / name)
    with pytest.raises(ValueError, match=r"cannot be read as 'SDSS-V apStar' by specutils"):
        made(tmp_path / name, format="SDSS-V apStar")


def write_galah(path, normalized=True):
    hdus = [fits.PrimaryHDU(np.full(400, 5e3))] + [fits.ImageHDU(np.full(400, value)) for value in (0.01, 6e3, 0.01)]
    if normalized:
        hdus.append(fits.ImageHDU(np.linspace(0.5, 1.0, 400)))
    for hdu in hdus:
        hdu.header["CRVAL1"], hdu.header["CDELT1"], hdu.header["CRPIX1"] = 4713.6, 0.046, 1
    hdus[0].header["ORIGIN"] = "GALAH"
    fits.HDUList(hdus).writeto(path)


def test_of_a_galah_file_the_normalized_spectrum_is_read_with_its_relative_errors(tmp_path):
    path = tmp_path / "1704180037012051.fits"
    write_galah(path)
    survey = made([path])
    np.testing.assert_allclose(survey.wavelength, air_to_vacuum(4713.6 + 0.046 * np.arange(400)), rtol=1e-9)
    np.testing.assert_allclose(survey.flux[0], np.linspace(0.5, 1.0, 400), rtol=1e-6)
    np.testing.assert_allclose(survey.ivar[0] ** -0.5, 0.01 * survey.flux[0], rtol=1e-4)
    np.testing.assert_array_equal(made([path], air=True).wavelength, survey.wavelength)
    np.testing.assert_allclose(made([path], air=False).wavelength, 4713.6 + 0.046 * np.arange(400), rtol=1e-9)
    older = tmp_path / "older.fits"
    write_galah(older, normalized=False)
    with pytest.raises(ValueError, match=r"older.fits is 5e\+03: .* continuum="):
        made(older)
    normalized = made(older, continuum=lambda wavelength, flux, ivar: np.median(flux))
    np.testing.assert_allclose(normalized.ivar, 1e4, rtol=1e-4)


def test_files_that_cannot_be_read_are_refused_with_the_way_out(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no file of spectra at .*absent.fits"):
        made([tmp_path / "absent.fits"])
    (tmp_path / "notes.xyz").write_text("no spectrum")
    with pytest.raises(ValueError, match="of no format that specutils recognizes: name it with format="):
        made([tmp_path / "notes.xyz"])
    with pytest.raises(ValueError, match=r"specutils knows no format 'apStr'; it knows .*SDSS-V apStar"):
        made([tmp_path / "notes.xyz"], format="apStr")


def test_files_need_specutils_and_spectra_in_memory_do_not(tmp_path, monkeypatch):
    (tmp_path / "star.fits").write_bytes(b"")
    imported = builtins.__import__

    def without(name, *rest):
        if name.startswith("specutils"):
            raise ImportError(name)
        return imported(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"pip install 'lux-paper\[spectra\]'"):
        made([tmp_path / "star.fits"])
    uncertainty = InverseVariance(np.where(np.arange(60) == 4, 0, 1e4))
    one = {"spectral_axis": GRID * u.AA, "flux": np.ones(60) * u.one, "uncertainty": uncertainty, "mask": None}
    survey = made([types.SimpleNamespace(**one)], wavelength=GRID + 0.1)
    assert np.count_nonzero(survey.ivar == 0) == 3


@pytest.mark.parametrize("name", ["flux", "uncertainty"])
@pytest.mark.parametrize("kind", [Table, QTable])
def test_blank_cells_of_a_table_of_text_are_masked(tmp_path, name, kind):
    blank = np.arange(60) < 3
    columns = {"flux": np.ones(60) * u.Jy, "uncertainty": np.full(60, 0.01) * u.Jy}
    columns[name] = Masked(columns[name], mask=blank)
    kind({"wavelength": GRID * u.AA} | columns).write(tmp_path / "star.ecsv")
    for file_format in (None, "ECSV"):
        survey = made([tmp_path / "star.ecsv"], format=file_format, continuum=ones)
        np.testing.assert_array_equal(survey.ivar[0] > 0, ~blank)
        np.testing.assert_allclose(survey.ivar[0, 3:], 1e4)


def test_a_file_that_is_cut_or_contradicts_the_checksum_of_its_data_is_refused(tmp_path):
    path = tmp_path / "apStar-star.fits"
    write_apstar(path, FLUX)
    with fits.open(path, memmap=False) as hdus:
        hdus.writeto(path, overwrite=True, checksum=True)
    content = path.read_bytes()
    place = content.index(b"XTENSION")
    place += content[place:].index(b"END" + 77 * b" ")
    changed = bytearray(content)
    # The exponent of a number in the flux.
    changed[place + 2880 + 8 * 1000] ^= 0x7F
    packed = gzip.compress(content)
    for name, damaged, told in (
        ("changed.fits", bytes(changed), "the checksum of extension 1 is not that of its content"),
        ("cut.fits", content[: len(content) * 2 // 3], "bytes where the data of extension"),
        ("cut.fits.gz", packed[:-200], "end-of-stream"),
    ):
        (tmp_path / name).write_bytes(damaged)
        with pytest.raises(ValueError, match=f"{name} is damaged: .*{told}.*; fetch it again"):
            made(tmp_path / name, format="SDSS-V apStar", continuum=ones)
    # Headers are edited, and files compressed.
    edited = content.replace(b"NVISITS =                    2", b"NVISITS =                    3")
    assert edited != content
    for name, whole in (("edited.fits", edited), ("whole.fits.gz", packed)):
        (tmp_path / name).write_bytes(whole)
        assert made(tmp_path / name, format="SDSS-V apStar", continuum=ones).n_stars == 1
