"""Files are written whole or not at all, where the user chooses."""

import errno
import os
import sys
from pathlib import Path

import pytest

from lux.store import files


def test_the_cache_is_where_the_system_keeps_caches_unless_the_user_says_otherwise(tmp_path, monkeypatch):
    monkeypatch.delenv("LUX_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    if sys.platform == "linux":
        assert files.cache_dir() == tmp_path / ".cache" / "lux"
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
        assert files.cache_dir() == tmp_path / "xdg" / "lux"
    monkeypatch.setenv("LUX_CACHE", "~/mine")
    assert files.cache_dir() == tmp_path / "mine"
    assert (tmp_path / "mine").is_dir()


def test_a_failing_block_leaves_the_old_file_and_no_litter(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")

    def fail():
        with files.atomic_write(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_written_file_has_the_usual_permissions(tmp_path):
    with files.atomic_write(tmp_path / "file") as temporary:
        temporary.write_text("new")
        assert not (tmp_path / "file").exists()
    (tmp_path / "other").touch()
    assert (tmp_path / "file").read_text() == "new"
    assert (tmp_path / "file").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_a_link_stays_one_and_what_it_leads_to_is_written(tmp_path):
    (tmp_path / "scratch").mkdir()
    link, target = tmp_path / "file", tmp_path / "scratch" / "file"
    link.symlink_to(target)
    for text in ("new", "newer"):
        with files.atomic_write(link) as temporary:
            assert temporary.parent == target.parent
            temporary.write_text(text)
        assert link.is_symlink()
        assert target.read_text() == text
    assert list(target.parent.iterdir()) == [target]


def test_a_folder_in_which_no_file_may_be_made_is_named(tmp_path, monkeypatch):
    def refused(**_):
        raise PermissionError(errno.EACCES, "Permission denied", ".file.x1y2z3.part")

    monkeypatch.setattr(files.tempfile, "mkstemp", refused)
    with (
        pytest.raises(PermissionError, match=r"cannot write file: no file may be made in the folder .*"),
        files.atomic_write(tmp_path / "file"),
    ):
        pass


def test_a_missing_folder_is_named(tmp_path):
    with (
        pytest.raises(FileNotFoundError, match="absent does not exist; create it first"),
        files.atomic_write(tmp_path / "absent" / "file"),
    ):
        pass


def test_a_file_that_has_no_room_is_refused(tmp_path, monkeypatch):
    files.require_space(tmp_path, 1000)
    assert not list(tmp_path.iterdir())

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match=r"no room for \d+ bytes"):
        files.require_space(tmp_path, 1000)


def test_trouble_with_the_disk_says_what_to_do():
    with (
        pytest.raises(files.LocalDiskError, match=r"cannot write spectrum in /data: .* make room there"),
        files.local_disk(Path("/data/spectrum")),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")
    with (
        pytest.raises(files.LocalDiskError, match=r"Not a directory; see to that folder, or give another one"),
        files.local_disk(Path("/data/spectrum")),
    ):
        raise OSError(errno.ENOTDIR, "Not a directory")


def test_a_folder_is_as_one_writes_it_in_a_shell(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert files.as_folder("~/x") == files.as_folder("x") == tmp_path / "x"
    (tmp_path / "notes").touch()
    with pytest.raises(FileExistsError, match=r"notes cannot be a folder for what is fetched: .*; give another one in"):
        files.make_folder(tmp_path / "notes", "give another one in LUX_CACHE")
