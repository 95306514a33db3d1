"""The installation says how far it is, and names what is missing before anything is fetched."""

import re
import sys
from pathlib import Path

import install
import pytest


def test_an_old_python_is_named_with_the_way_out():
    message = install.missing(version=(3, 10, 4))
    assert "Python 3.11 or newer is needed, and this is 3.10" in message
    assert "make PYTHON=" in message


@pytest.mark.parametrize("module", ["venv", "ensurepip"])
def test_the_one_thing_missing_is_named(module):
    assert "python3-venv" in install.missing(find_module=lambda name: None if name == module else object())


def test_a_mac_without_wheels_is_told_early():
    assert "Intel" in install.missing(machine=("darwin", "x86_64"))
    assert install.missing(machine=("darwin", "arm64")) is None


def test_an_environment_behind_a_link_is_not_emptied(capsys, tmp_path):
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "bin").touch()
    (tmp_path / "link").symlink_to(tmp_path / "shared")
    assert install.main(tmp_path / "link") == 1
    assert "remove the link" in capsys.readouterr().err
    assert (tmp_path / "shared" / "bin").exists()


def test_progress_counts_packages_and_sizes():
    lines = [
        "Collecting numpy==2.4",
        "  Downloading numpy-2.4.whl (16.5 MB)",
        "Collecting six",
        "  Using cached six.whl (500 kB)",
    ]
    assert install.progress(lines, 140) == "2 of about 140 packages found, 17 MB fetched"
    assert install.progress([*lines, "Installing collected packages: six"], 140) == "2 packages, 17 MB: unpacking"


def test_what_an_installer_said_last_is_shown_when_it_fails(monkeypatch, capsys, tmp_path):
    failing = [[sys.executable, "-c", "print('no such package'); raise SystemExit(3)"]]
    monkeypatch.setattr(install, "_pip_commands", lambda folder: failing)
    monkeypatch.setattr(install.shutil, "which", lambda name: None)
    assert install.main(tmp_path / "environment") == 1
    assert "no such package" in capsys.readouterr().err


def test_a_failing_uv_is_followed_by_pip(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(install.shutil, "which", lambda name: "/bin/uv")
    monkeypatch.setattr(install, "_uv_commands", lambda folder: [[sys.executable, "-c", "raise SystemExit(1)"]])
    monkeypatch.setattr(install, "_pip_commands", lambda folder: [[sys.executable, "-c", "print('fine')"]])
    assert install.main(tmp_path / "environment") == 0
    assert "uv failed" in capsys.readouterr().err


def test_both_ways_check_the_hashes_of_the_lock():
    for commands in (install._pip_commands("e"), install._uv_commands("e")):
        assert ["--require-hashes" in command for command in commands] == [False, True, False]


def test_make_starts_it_with_nothing_but_the_standard_library():
    source = Path(install.__file__).read_text()
    names = set(re.findall(r"^\s*import (\w+)|^from (\w+)", source, re.MULTILINE))
    assert {name for pair in names for name in pair if name} <= sys.stdlib_module_names
