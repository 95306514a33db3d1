"""The list of accepted files: appended to, read after a kill, and the checksums in it."""

import hashlib

import pytest

from lux.datasets.manifest import add_entry, file_sha256, open_manifest, read_manifest, read_sha1sums


def test_a_line_of_the_manifest_that_was_cut_short_is_passed_over(tmp_path):
    path = tmp_path / "manifest.jsonl"
    path.write_text('{"name": "a", "size": 1, "sha256": "1"}\n{"name": "b", "si')
    with open_manifest(path) as log:
        log.write(b'{"name": "c", "size": 3, "sha256": "3"}\n')
    assert list(read_manifest(path)) == ["a", "c"]


def test_the_last_entry_of_a_file_counts(tmp_path):
    path = tmp_path / "manifest.jsonl"
    assert read_manifest(path) == {}
    for size in (1, 2):
        with open_manifest(path) as log:
            add_entry(log, name="a", url="http://archive/a", size=size, sha256=str(size))
    assert read_manifest(path) == {"a": {"name": "a", "url": "http://archive/a", "size": 2, "sha256": "2"}}


def test_the_checksum_of_a_file_is_that_of_its_bytes(tmp_path):
    (tmp_path / "file").write_bytes(b"content")
    assert file_sha256(tmp_path / "file") == hashlib.sha256(b"content").hexdigest()


def test_an_entry_without_a_checksum_is_passed_over(tmp_path):
    path = tmp_path / "manifest.jsonl"
    path.write_text('{"name": "a", "size": 1}\n["name"]\n{"name": "b", "size": 1, "sha256": "1"}\n')
    assert list(read_manifest(path)) == ["b"]


def test_an_empty_list_of_checksums_is_none(tmp_path):
    (tmp_path / "list.sha1sum").write_text("")
    with pytest.raises(ValueError, match="is no list of SHA-1 checksums: it is empty"):
        read_sha1sums(tmp_path / "list.sha1sum")
