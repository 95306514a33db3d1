"""A request: what it refuses, where its files are, and that no two surveys share a place."""

import pytest

from lux.datasets import crossmatch
from lux.datasets.request import Request


def test_an_unusable_place_in_the_catalogue_is_never_made_a_path(tmp_path):
    request = Request(cache=tmp_path)
    for place in (("..", "a", "b"), ("apo25m", "../../etc", "b"), ("apo25m", "a/b", "c"), ("apo25m", "a", "")):
        with pytest.raises(ValueError, match="no file can be named after"):
            request.spectrum(*place)
    url = request.spectrum("apo25m", "150+20", "2M07+12").url
    assert url.endswith("synspec_rev1/apo25m/150%2B20/aspcapStar-dr17-2M07%2B12.fits")


@pytest.mark.parametrize(
    "wrong",
    [
        *({"n_stars": number} for number in (0, 20.0, "20", True)),
        {"labels": ()},
        {"labels": ("fe_h", "FE_H")},
        {"selection": "best"},
    ],
)
def test_a_request_that_makes_no_sense_is_refused(tmp_path, wrong):
    with pytest.raises(ValueError, match=r"n_stars|labels|selection"):
        Request(**({"cache": tmp_path} | wrong))


def test_a_file_is_no_place_for_what_is_fetched(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ValueError, match=r"notes.txt is a file; give the folder"):
        Request(cache=tmp_path / "notes.txt")


def test_another_cut_makes_another_survey(tmp_path, monkeypatch):
    paths = {
        Request(cache=tmp_path, **wanted).survey_path
        for wanted in ({}, {"n_stars": 7}, {"labels": ("fe_h",)}, {"selection": "published"}, {"complete": False})
    }
    monkeypatch.setattr(crossmatch, "APOGEE_SNR", 60.0)
    paths.add(Request(cache=tmp_path).survey_path)
    assert len(paths) == 6


def test_the_environment_names_mirrors_and_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LUX_CACHE", str(tmp_path))
    monkeypatch.setenv("LUX_SDSS_URL", "http://mirror/sas/")
    request = Request(galah_url="http://other/galah")
    assert request.cache == tmp_path / "apogee-galah"
    files = request.catalogues()
    assert files["apogee"].url.startswith("http://mirror/sas/dr17/")
    assert files["galah"].url == "http://other/galah/GALAH_DR3_main_allstar_v2.fits"
    assert files["galah"].path.parent == request.cache


def test_one_label_is_a_label_and_no_letters():
    assert Request(labels="Eu_fe").labels == ("eu_fe",)


@pytest.mark.parametrize(
    "url", ["data.sdss.org/sas", "http://mirror:port/sas", "http://mir ror/sas", "http://", "ftp://a/b"]
)
def test_an_address_that_is_none_is_refused_with_the_variable_that_may_have_set_it(tmp_path, monkeypatch, url):
    monkeypatch.setenv("LUX_SDSS_URL", url)
    with pytest.raises(ValueError, match=r"is no address of an archive, such as https://data.* see the variable LUX_"):
        Request(cache=tmp_path)


def test_an_address_may_end_in_a_blank_and_a_folder_begin_with_a_tilde(tmp_path, monkeypatch):
    monkeypatch.setenv("LUX_SDSS_URL", "http://mirror/sas/ ")
    monkeypatch.setenv("HOME", str(tmp_path))
    request = Request(cache="~/kept")
    assert request.catalogues()["apogee"].url.startswith("http://mirror/sas/dr17/")
    assert request.cache == tmp_path / "kept"
