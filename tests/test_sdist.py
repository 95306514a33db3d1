"""The source archive of a package: believed only when its checksum agrees, and honest where it cannot be had."""

import hashlib

import pytest

from lux.datasets import sdist
from lux.datasets.sdist import SourceArchive, obtain_archive

CONTENT = b"an archive"
ARCHIVE = SourceArchive(
    package="NoSuchPackage",
    version="1.0",
    filename="NoSuchPackage-1.0.tar.gz",
    size=len(CONTENT),
    sha256=hashlib.sha256(CONTENT).hexdigest(),
    override="LUX_TEST_ARCHIVE",
)


@pytest.fixture
def obtain(tmp_path, monkeypatch):
    monkeypatch.delenv(ARCHIVE.override, raising=False)
    (tmp_path / "cache").mkdir()
    return lambda archive=None: obtain_archive(ARCHIVE, archive=archive, cache=tmp_path / "cache", progress=False)


def fake_pip(content):
    def download(requirement, folder, progress):
        assert requirement.read_text() == f"NoSuchPackage==1.0 --hash=sha256:{ARCHIVE.sha256}\n"
        (folder / ARCHIVE.filename).write_bytes(content)

    return download


def test_a_fetched_archive_is_kept_and_fetched_once(obtain, monkeypatch):
    monkeypatch.setattr(sdist, "_pip_download", fake_pip(CONTENT))
    assert obtain().read_bytes() == CONTENT
    monkeypatch.setattr(sdist, "_pip_download", lambda *arguments: 1 / 0)
    assert obtain().read_bytes() == CONTENT


def test_a_damaged_archive_in_the_cache_is_fetched_again(obtain, tmp_path, monkeypatch):
    (tmp_path / "cache" / ARCHIVE.filename).write_bytes(b"half")
    monkeypatch.setattr(sdist, "_pip_download", fake_pip(CONTENT))
    assert obtain().read_bytes() == CONTENT


@pytest.mark.parametrize(("content", "message"), [(b"short", "has 5 bytes where 10"), (b"on archive", "has SHA-256 ")])
def test_an_archive_with_another_size_or_checksum_is_refused(obtain, tmp_path, monkeypatch, content, message):
    (tmp_path / "given.tar.gz").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        obtain(tmp_path / "given.tar.gz")
    monkeypatch.setattr(sdist, "_pip_download", fake_pip(content))
    with pytest.raises(ValueError, match=message):
        obtain()
    assert not list((tmp_path / "cache").iterdir())


def test_an_archive_that_is_not_there_is_named_with_where_it_was_given(obtain, tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match="no archive at"):
        obtain(tmp_path / "nowhere.tar.gz")
    monkeypatch.setenv(ARCHIVE.override, str(tmp_path / "elsewhere.tar.gz"))
    with pytest.raises(FileNotFoundError, match=r"elsewhere.tar.gz .*LUX_TEST_ARCHIVE"):
        obtain()


def test_without_network_the_error_says_what_to_do(obtain, tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(FileNotFoundError, match=r"could not be fetched: (.|\n)*pip download(.|\n)*LUX_TEST_ARCHIVE"):
        obtain()
    assert not list((tmp_path / "cache").iterdir())


def test_without_pip_the_error_says_what_to_do(obtain, monkeypatch):
    monkeypatch.setattr(sdist, "_pip_command", lambda: None)
    with pytest.raises(FileNotFoundError, match="pip is not installed"):
        obtain()
