"""The DR10 reader: what it believes, what it refuses, and what the real files hold."""

import dataclasses
import hashlib
import io
import tarfile

import numpy as np
import pytest
from astropy.io import fits

import lux
from lux.datasets import apogee_dr10
from lux.spectroscopy.instrument import on_chip

HEADER = (
    "ID,Rvel,Teff,Teff_{corr},logg,logg_{corr},[M/H],[M/H]_{corr},[C/M],[N/M],[a/M],S/N,Jmag,Hmag,Kmag,"
    "e_Teff_corr,e_[MH]+corr"
)
STARS = {
    "2M17162228+4258036": ("M92", -118.0),
    "2M03418000+2400000": ("Pleiades", 5.0),
    "2M13416000+2800000": ("APGS_M3", -147.0),
}
FIRST_PIXEL = 322


def spectrum(star: str, field: str, n_flag: int = 0) -> bytes:
    """One aspcapStar file: flux 0.9, error 0.01, with a bad pixel of each kind at the start of the first chip."""
    flux, error = np.full(8575, 0.9, np.float32), np.full(8575, 0.01, np.float32)
    error[~on_chip("dr10")] = 99.0
    error[FIRST_PIXEL] = 99.0
    flux[FIRST_PIXEL + 1], flux[FIRST_PIXEL + 2], error[FIRST_PIXEL + 3] = np.nan, -0.1, 0.0
    primary = fits.PrimaryHDU()
    primary.header["FIELD"], primary.header["SNR"], primary.header["VHELIO"] = field, 150.0, 999999.0
    row = np.zeros(1, [("STARFLAG", "i4"), ("ASPCAPFLAG", "i4"), ("FPARAM", "f4", 7), ("PARAMFLAG", "i4", 7)])
    row["FPARAM"][0], row["PARAMFLAG"][0, 5] = [5000, 2.5, 0.2, -2, 0.1, 0.9, 0.25], n_flag
    buffer = io.BytesIO()
    grid = fits.Header({"CRVAL1": 4.179, "CDELT1": 6e-6})
    hdus = [primary, *(fits.ImageHDU(image, grid) for image in (flux, error, flux)), fits.BinTableHDU(row)]
    fits.HDUList(hdus).writeto(buffer)
    return buffer.getvalue()


def archive_members() -> dict[str, bytes]:
    members, rows = {}, [HEADER]
    for star, (field, velocity) in STARS.items():
        filename = f"aspcapStar-v304-{star}.fits"
        members[f"{apogee_dr10._ROOT}Data/{filename}"] = spectrum(star, field, n_flag=1 if field == "M92" else 0)
        errors = "0,0" if field == "Pleiades" else "171.3,0.134"
        rows.append(f"{filename},{velocity},5067.8,4995.2,2.56,2.08,-1.94,-2.20,0.58,0.90,0.04,-0.1,12,12,12,{errors}")
    members[apogee_dr10._TABLE] = "\n".join(rows).encode()
    return members


def write_archive(path, members: dict[str, bytes]):
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


@pytest.fixture
def publish(tmp_path, monkeypatch):
    """Write members as an archive and make it the published one; return its path."""

    def write(members):
        path = write_archive(tmp_path / "fake.tar.gz", members)
        content = path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        monkeypatch.setattr(
            apogee_dr10, "ARCHIVE", dataclasses.replace(apogee_dr10.ARCHIVE, size=len(content), sha256=digest)
        )
        return path

    monkeypatch.delenv(apogee_dr10.ARCHIVE.override, raising=False)
    return write


def load(path, tmp_path, **options):
    return apogee_dr10.load_dr10(archive=path, cache=tmp_path / "cache", progress=False, **options)


def test_stars_are_joined_by_name_and_bad_pixels_masked(publish, tmp_path):
    survey = load(publish(archive_members()), tmp_path, pleiades=True)
    assert list(survey.star_id) == sorted(STARS)
    velocities = dict(zip(survey.star_id, survey.catalogue["radial_velocity"], strict=True))
    assert velocities == {star: velocity for star, (_, velocity) in STARS.items()}
    # The four pixels that are bad in every star are gone, each for its own reason.
    assert survey.n_pixels == np.count_nonzero(on_chip("dr10")) - 4
    assert np.all(survey.flux == np.float32(0.9))
    np.testing.assert_allclose(survey.ivar, 1e4, rtol=1e-5)


def test_labels_are_the_calibrated_ones_with_positive_errors(publish, tmp_path):
    survey = load(publish(archive_members()), tmp_path, pleiades=True)
    assert survey.label_names == ("teff", "logg", "m_h", "alpha_m", "c_m", "n_m")
    np.testing.assert_allclose(survey.labels[:, :4], [[4995.2, 2.08, -2.2, 0.25]] * 3, rtol=1e-6)
    assert np.all(survey.label_err > 0)
    m92 = survey.catalogue["cluster"] == "M92"
    assert survey.label_err[m92][0, 0] == 171.3
    assert np.array_equal(np.isnan(survey.label("n_m")), m92), "[N/M] on the grid edge is a limit: missing"
    assert set(survey.catalogue["cluster"]) == {"M92", "M3", "Pleiades"}
    assert np.all(survey.catalogue["snr"] == 150.0), "the S/N comes from the file, not the shifted table"


def test_the_pleiades_are_left_out_by_default(publish, tmp_path):
    assert set(load(publish(archive_members()), tmp_path).catalogue["cluster"]) == {"M92", "M3"}


def test_a_second_load_needs_no_archive_and_a_damaged_cache_is_rebuilt(publish, tmp_path):
    path = publish(archive_members())
    first = load(path, tmp_path)
    (cached,) = (tmp_path / "cache").glob("*.h5")
    content = cached.read_bytes()
    path.rename(tmp_path / "moved.tar.gz")
    assert np.array_equal(load(None, tmp_path).flux, first.flux)
    cached.write_bytes(content[: len(content) // 2])
    assert np.array_equal(load(tmp_path / "moved.tar.gz", tmp_path).ivar, first.ivar)
    assert len(cached.read_bytes()) == len(content)


@pytest.mark.parametrize("damage", ["truncated", "altered"])
def test_an_archive_that_is_not_the_published_one_is_refused(publish, tmp_path, damage):
    path = publish(archive_members())
    content = bytearray(path.read_bytes())
    if damage == "truncated":
        del content[-100:]
    else:
        content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"bytes where|SHA-256 .* was expected"):
        load(path, tmp_path)
    assert not list((tmp_path / "cache").glob("*")), "nothing half-filled is left"


def test_a_broken_fits_file_is_named_and_leaves_no_cache(publish, tmp_path):
    members = archive_members()
    name = next(iter(members))
    members[name] = members[name][:20000]
    path = publish(members)
    with pytest.raises(ValueError, match=r"aspcapStar-v304-2M17162228\+4258036.fits cannot be read"):
        load(path, tmp_path)
    assert not list((tmp_path / "cache").glob("*"))


def test_a_truncated_stream_with_a_matching_checksum_is_refused(publish, tmp_path, monkeypatch):
    path = publish(archive_members())
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(ValueError, match="truncated or damaged"):
        apogee_dr10.read_archive(path, progress=False)


def test_a_star_without_a_spectrum_and_a_missing_table_are_named(publish, tmp_path):
    members = archive_members()
    spectrum_name = next(iter(members))
    path = write_archive(tmp_path / "a.tar.gz", {k: v for k, v in members.items() if k != spectrum_name})
    with pytest.raises(ValueError, match=r"3 stars in the table and 2 spectra; aspcapStar-v304-2M17162228"):
        apogee_dr10.read_archive(path, progress=False)
    path = write_archive(tmp_path / "b.tar.gz", {k: v for k, v in members.items() if k != apogee_dr10._TABLE})
    with pytest.raises(ValueError, match=r"holds no .*reference_labels\.csv"):
        apogee_dr10.read_archive(path, progress=False)


def test_members_outside_the_expected_names_are_never_read(publish, tmp_path):
    members = archive_members()
    evil = {"../../outside.fits": b"x", f"{apogee_dr10._ROOT}Data/../../evil.fits": b"x", "/etc/passwd": b"x"}
    survey = load(publish({**evil, **members}), tmp_path)
    assert survey.n_stars == 2
    assert {path.name for path in tmp_path.iterdir()} == {"fake.tar.gz", "cache"}


def test_the_real_spectra_are_as_published():
    """Fetches the archive once (35 MB) where no cache has it."""
    survey = lux.load("apogee-dr10", progress=False)
    assert survey.n_stars == 479
    assert len(set(survey.catalogue["cluster"])) == 18
    assert 7200 < survey.n_pixels <= 7214
    assert 0.12 < np.mean(survey.ivar == 0) < 0.14
    assert np.isclose(survey.ivar.max(), 1 / 0.005**2), "the error floor of the pipeline"
    assert 72 < survey.catalogue["snr"].min() < survey.catalogue["snr"].max() < 1251
    assert np.all(np.abs(survey.catalogue["radial_velocity"]) < 300)
    m5 = survey[survey.catalogue["cluster"] == "M5"]
    assert abs(np.median(m5.label("m_h")) + 1.34) < 0.02
    assert np.count_nonzero(np.isnan(survey.labels)) == np.count_nonzero(np.isnan(survey.label("n_m"))) == 17
