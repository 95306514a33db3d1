"""Fetching: every way in which a server, a connection or a disk fails ends in whole files or an honest word."""

import dataclasses
import errno
import re
import time
import types

import pytest
from fixture_archive import ArchiveServer

from lux.datasets import fetch
from lux.datasets.fetch import RemoteFile, TransferOptions, fetch_files
from lux.datasets.manifest import file_sha256, read_manifest
from lux.store.files import LocalDiskError

QUICK = TransferOptions(connections=3, attempts=5, timeout=0.4, min_rate=20_000, first_wait=0.01, max_wait=0.5)
# For faults that do not hang on time: a busy machine that answers late is no fault of its own.
PATIENT = dataclasses.replace(QUICK, timeout=60.0)
SIZE = 50_000


@pytest.fixture
def server(tmp_path):
    (tmp_path / "served").mkdir()
    with ArchiveServer(tmp_path / "served").running() as server:
        yield server


def published(server, tmp_path, count=1, validate=None):
    """Publish files of known content; return what there is to fetch."""
    files = []
    for number in range(count):
        name = f"file{number}.bin"
        (server.folder / name).write_bytes(content_of(number))
        url = f"http://127.0.0.1:{server.server_address[1]}/{name}"
        files.append(RemoteFile(url, tmp_path / "here" / name, validate))
    (tmp_path / "here").mkdir(exist_ok=True)
    return files


def content_of(number: int) -> bytes:
    return bytes((number + place) % 251 for place in range(SIZE))


def fetched(files, tmp_path, transfer=QUICK):
    return fetch_files(files, tmp_path / "here" / "manifest.jsonl", transfer=transfer, progress=False)


def require_first_byte(path):
    if path.read_bytes()[:1] != content_of(0)[:1]:
        raise ValueError(f"{path.name} starts otherwise")


def assert_whole(files):
    for number, file in enumerate(files):
        assert file.path.read_bytes() == content_of(number)
    assert not list(files[0].path.parent.glob(".*")), "nothing half-made is left"


def test_files_come_whole_few_at_a_time_and_are_listed_with_their_checksums(server, tmp_path):
    files = published(server, tmp_path, 12)
    server.delay = 0.02
    assert [outcome.status for outcome in fetched(files, tmp_path)] == ["fetched"] * 12
    assert_whole(files)
    assert server.most_busy <= QUICK.connections
    manifest = read_manifest(tmp_path / "here" / "manifest.jsonl")
    assert {name: entry["sha256"] for name, entry in manifest.items()} == {
        file.path.name: file_sha256(file.path) for file in files
    }
    assert [outcome.status for outcome in fetched(files, tmp_path)] == ["kept"] * 12
    assert sum(server.requests.values()) == 12, "what is there is not asked for again"


@pytest.mark.parametrize(
    "faults",
    [
        [500],
        [502],
        [503],
        [(503, 0)],
        [(429, 0)],
        [(429, "nonsense")],
        [408],
        ["reset"],
        [("truncate", 0.0)],
        [("truncate", 0.5), ("truncate", 0.7)],
        [("hang", 0.6)],
        [("drip", 0.01)],
        [("wrong", b"<html>later</html>")],
        [503, "reset", ("truncate", 0.3), ("drip", 0.01)],
    ],
    ids=str,
)
def test_a_passing_fault_is_got_over(server, tmp_path, faults):
    files = published(server, tmp_path, 3, validate=None)
    files[0] = RemoteFile(files[0].url, files[0].path, require_first_byte)
    server.faults.add("file0.bin", *faults)
    slow = any(isinstance(fault, tuple) and fault[0] in ("hang", "drip") for fault in faults)
    outcomes = fetched(files, tmp_path, QUICK if slow else PATIENT)
    assert [outcome.status for outcome in outcomes] == ["fetched"] * 3
    assert_whole(files)
    tries = server.requests["/file0.bin"]
    assert tries > len(faults) if slow else tries == len(faults) + 1


def test_what_the_archive_has_not_is_asked_for_once_and_named(server, tmp_path):
    files = published(server, tmp_path, 2)
    (server.folder / "file1.bin").unlink()
    outcomes = fetched(files, tmp_path)
    assert [outcome.status for outcome in outcomes] == ["fetched", "refused"]
    assert "404" in outcomes[1].reason
    assert server.requests["/file1.bin"] == 1
    assert not files[1].path.exists()


def test_content_that_stays_wrong_is_refused_after_three_tries(server, tmp_path):
    (file,) = published(server, tmp_path, validate=require_first_byte)
    server.faults.always("file0.bin", ("wrong", b"<html>log in here</html>"))
    (outcome,) = fetched([file], tmp_path)
    assert outcome.status == "refused"
    assert "starts otherwise" in outcome.reason
    assert server.requests["/file0.bin"] == fetch.WRONG_CONTENT_TRIES
    assert not file.path.exists()


def test_a_server_that_asks_to_wait_is_left_alone_by_all_connections(server, tmp_path):
    files = published(server, tmp_path, 20)
    server.delay = 0.05
    server.faults.add("file0.bin", (429, 1))
    polite = TransferOptions(connections=2, timeout=2, first_wait=0.01, max_wait=0.4)
    started = time.monotonic()
    fetched(files, tmp_path, polite)
    assert_whole(files)
    refused = next(when for when, path, _ in server.log if path == "/file0.bin")
    during = [path for when, path, _ in server.log if refused + 0.1 < when < refused + 0.35]
    assert not during, "no request while the server wants peace"
    assert time.monotonic() - started < 3, "a wait longer than the longest is cut to it"


def test_a_broken_transfer_goes_on_where_it_stopped(server, tmp_path):
    (file,) = published(server, tmp_path)
    server.faults.add("file0.bin", ("truncate", 0.6), ("truncate", 0.5))
    fetched([file], tmp_path)
    assert_whole([file])
    assert [span for _, _, span in server.log] == [
        "",
        f"bytes={int(SIZE * 0.6)}-",
        f"bytes={int(SIZE * 0.8)}-",
    ]


def test_a_date_serves_where_the_server_has_no_strong_tags(server, tmp_path):
    (file,) = published(server, tmp_path)
    server.strong_tags = False
    server.faults.add("file0.bin", ("truncate", 0.6))
    fetched([file], tmp_path)
    assert_whole([file])
    assert [span for _, _, span in server.log] == ["", f"bytes={int(SIZE * 0.6)}-"]


def test_tries_that_come_nearer_do_not_count(server, tmp_path, monkeypatch):
    monkeypatch.setattr(fetch, "PROGRESS", SIZE // 20)
    (file,) = published(server, tmp_path)
    server.faults.add("file0.bin", *[("truncate", 0.2)] * 7)
    assert fetched([file], tmp_path, TransferOptions(attempts=3, first_wait=0.01))[0].arrived
    assert_whole([file])
    file.path.unlink()
    monkeypatch.setattr(fetch, "PROGRESS", SIZE)
    server.faults.add("file0.bin", *[("truncate", 0.2)] * 7)
    assert not fetched([file], tmp_path, TransferOptions(attempts=3, first_wait=0.01))[0].arrived


def test_a_later_run_goes_on_with_the_bytes_that_came(server, tmp_path):
    (file,) = published(server, tmp_path)
    server.faults.always("file0.bin", ("truncate", 0.9))
    (outcome,) = fetched([file], tmp_path, TransferOptions(attempts=1))
    assert outcome.status == "failed"
    assert not file.path.exists(), "no half-written file has the name of a whole one"
    server.faults.always("file0.bin", None)
    assert fetched([file], tmp_path)[0].arrived
    assert_whole([file])
    assert server.log[-1][2] == f"bytes={int(SIZE * 0.9)}-"


def test_a_file_that_changed_on_the_server_is_not_glued_together(server, tmp_path):
    (file,) = published(server, tmp_path)
    (server.folder / "file0.bin").write_bytes(b"\xff" * SIZE)
    server.faults.add("file0.bin", ("truncate", 0.5))
    fetched([file], tmp_path, TransferOptions(attempts=1))
    published(server, tmp_path)
    fetched([file], tmp_path)
    assert_whole([file])


@pytest.mark.parametrize("excess", [0, 100])
def test_a_partial_file_that_is_complete_or_too_long_is_settled(server, tmp_path, excess):
    (file,) = published(server, tmp_path)
    server.faults.add("file0.bin", ("truncate", 0.5))
    fetched([file], tmp_path, TransferOptions(attempts=1))
    part = file.path.with_name(".file0.bin.part")
    part.write_bytes(content_of(0) + b"x" * excess)
    assert fetched([file], tmp_path)[0].arrived
    assert_whole([file])
    assert server.requests["/file0.bin"] == (3 if excess else 2), "what is complete is not fetched again"


def test_an_archive_out_of_reach_is_given_up_soon(server, tmp_path):
    files = published(server, tmp_path, 60)
    for file in files:
        server.faults.always(file.path.name, 503)
    outcomes = fetched(files, tmp_path, TransferOptions(connections=3, attempts=2, first_wait=0.01))
    assert {outcome.status for outcome in outcomes} == {"failed"}
    assert sum(server.requests.values()) < 40
    assert any("503" in outcome.reason for outcome in outcomes)
    assert any("does not answer" in outcome.reason for outcome in outcomes)


def test_a_closed_port_is_a_failure_and_not_an_absence(tmp_path):
    (tmp_path / "here").mkdir()
    file = RemoteFile("http://127.0.0.1:9/file0.bin", tmp_path / "here" / "file0.bin")
    (outcome,) = fetched([file], tmp_path, TransferOptions(attempts=2, first_wait=0.01))
    assert outcome.status == "failed"
    assert "refused" in outcome.reason.lower()


def test_a_full_disk_stops_the_work_and_says_where(server, tmp_path, monkeypatch):
    files = published(server, tmp_path, 4)

    class FullDisk:
        def __init__(self, file):
            self.file = file

        def __getattr__(self, name):
            return getattr(self.file, name)

        def __enter__(self):
            return self

        def __exit__(self, *error):
            self.file.close()

        def write(self, content):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(fetch, "open", lambda *arguments, **how: FullDisk(open(*arguments, **how)), raising=False)
    with pytest.raises(LocalDiskError, match=r"cannot write .*No space left on device; make room there and run again"):
        fetched(files, tmp_path)
    monkeypatch.undo()
    assert not any(file.path.exists() for file in files)
    assert all(outcome.arrived for outcome in fetched(files, tmp_path))
    assert_whole(files)


def test_a_file_altered_after_it_was_accepted_is_looked_at_again(server, tmp_path):
    (file,) = published(server, tmp_path, validate=require_first_byte)
    fetched([file], tmp_path)
    file.path.write_bytes(b"\xffshort")
    assert fetched([file], tmp_path)[0].status == "fetched"
    assert_whole([file])
    assert file.path.with_name("file0.bin.unusable").read_bytes() == b"\xffshort", "nothing is lost"


def test_each_try_of_a_dead_archive_is_a_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(fetch, "_SECONDS_BETWEEN_LINES", 0)
    (tmp_path / "here").mkdir()
    file = RemoteFile("http://127.0.0.1:9/file0.bin", tmp_path / "here" / "file0.bin")
    fetch_files([file], tmp_path / "here" / "manifest.jsonl", transfer=TransferOptions(attempts=3, first_wait=0.01))
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("lux: ")]
    assert len(lines) == 2, "the last try has none after it"
    assert all(line.startswith(f"lux: {file.url}: ") and "next try in 0 s" in line for line in lines)


def answering(body, status=200, **headers):
    """Return a fault: an answer with these headers and this body, without its length if they do not have it."""

    def answer(handler, content):
        handler.send_response(status)
        for name, text in {"Connection": "close", **headers}.items():
            handler.send_header(name.replace("_", "-"), text)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def others_part(handler, content, **headers):
    """Answer with the rest of another file of the same size, whatever is asked (If-Range)."""
    start = int(handler.headers["Range"][6:].split("-")[0])
    span = f"bytes {start}-{len(content) - 1}/{len(content)}"
    answering(b"\xff" * (len(content) - start), 206, Content_Range=span, **headers)(handler, content)


@pytest.mark.parametrize("headers", [{"ETag": '"other"'}, {"Last_Modified": "Fri, 02 Jan 2021 00:00:00 GMT"}])
def test_a_part_of_another_file_is_not_glued_on_though_the_server_gives_it(server, tmp_path, headers):
    (file,) = published(server, tmp_path)
    server.faults.add("file0.bin", ("truncate", 0.5), lambda *given: others_part(*given, **headers))
    assert fetched([file], tmp_path)[0].status == "fetched"
    assert_whole([file])


def test_a_part_of_a_file_of_another_size_is_not_glued_on(server, tmp_path):
    (file,) = published(server, tmp_path)
    rest = answering(b"\xff" * 10, 206, Content_Range=f"bytes {SIZE // 2}-{SIZE // 2 + 9}/{SIZE // 2 + 10}")
    server.faults.add("file0.bin", ("truncate", 0.5), rest)
    assert fetched([file], tmp_path)[0].status == "fetched"
    assert_whole([file])


def test_a_part_that_was_not_asked_for_is_not_appended_to_an_old_one(server, tmp_path):
    (file,) = published(server, tmp_path)
    file.path.with_name(".file0.bin.part").write_bytes(b"old")
    server.faults.add("file0.bin", answering(b"x" * 50, 206, Content_Range="bytes 0-49/*"))
    assert fetched([file], tmp_path)[0].status == "fetched"
    assert_whole([file])


def test_an_answer_that_ends_in_its_header_is_no_empty_file(server, tmp_path):
    (file,) = published(server, tmp_path)
    server.faults.add("file0.bin", answering(b""))
    assert fetched([file], tmp_path)[0].status == "fetched"
    assert_whole([file])


NOT_NOW = {
    "a page": (answering(b"<html>", Content_Type="text/html; charset=utf-8"), r"a web page came .* from http://127"),
    "compressed": (answering(b"x", Content_Encoding="gzip"), r"compressed it \(gzip\), which was not asked for"),
    "forbidden": (403, "the server answered 403 Forbidden"),
    "unauthorized": (401, "the server answered 401 Unauthorized"),
}


@pytest.mark.parametrize(("fault", "reason"), NOT_NOW.values(), ids=NOT_NOW)
def test_what_is_not_given_now_fails_at_once_and_loses_no_part(server, tmp_path, fault, reason):
    (file,) = published(server, tmp_path)
    server.faults.add("file0.bin", ("truncate", 0.5), fault)
    (outcome,) = fetched([file], tmp_path, TransferOptions(attempts=3, first_wait=0.01))
    assert outcome.status == "failed", "another run may succeed"
    assert re.search(reason, outcome.reason)
    assert server.requests["/file0.bin"] == 2
    assert file.path.with_name(".file0.bin.part").stat().st_size == SIZE // 2
    assert fetched([file], tmp_path)[0].status == "fetched"
    assert server.log[-1][2] == f"bytes={SIZE // 2}-"


def test_an_answer_of_another_kind_is_tried_again(server, tmp_path):
    (file,) = published(server, tmp_path)
    server.faults.add("file0.bin", answering(b"soon", 202))
    assert fetched([file], tmp_path)[0].status == "fetched"
    assert_whole([file])


def test_what_has_no_end_is_broken_off(server, tmp_path):
    (file,) = published(server, tmp_path)
    server.faults.always("file0.bin", lambda handler, content: endless(handler))
    (outcome,) = fetched([dataclasses.replace(file, max_size=1_000_000)], tmp_path)
    assert (outcome.status, outcome.reason) == ("failed", "more than 1000000 bytes came")
    assert not file.path.with_name(".file0.bin.part").exists()


def endless(handler):
    answering(b"")(handler, b"")
    while not handler.server.stopped.is_set():
        handler.wfile.write(bytes(100_000))


def test_a_redirection_is_followed_without_its_endless_page(server, tmp_path):
    (file,) = published(server, tmp_path)

    def elsewhere(handler, content):
        answering(b"", 302, Location="/file1.bin")(handler, content)
        endless(handler)

    (server.folder / "file1.bin").write_bytes(content_of(0))
    server.faults.add("file0.bin", elsewhere)
    assert fetched([file], tmp_path)[0].status == "fetched"
    assert_whole([file])


def test_redirections_without_end_are_given_up_in_a_line(server, tmp_path):
    (file,) = published(server, tmp_path)
    server.faults.always("file0.bin", answering(b"", 302, Location="/file0.bin"))
    (outcome,) = fetched([file], tmp_path)
    assert outcome.status == "failed"
    assert "redirect error that would lead to an infinite loop. The last" in outcome.reason


def test_a_header_that_drips_is_broken_off(server, tmp_path):
    (file,) = published(server, tmp_path)

    def drip(handler, content):
        for place in range(10_000):
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nX: "[place : place + 1] or b"x")
            handler.wfile.flush()
            if handler.server.stopped.wait(0.1):
                return

    server.faults.always("file0.bin", drip)
    (outcome,) = fetched([file], tmp_path, dataclasses.replace(QUICK, attempts=1))
    assert outcome.status == "failed"
    assert re.search(r"only \d+ bytes came in", outcome.reason)


def test_a_file_that_is_asked_for_twice_is_fetched_once(server, tmp_path):
    (file,) = published(server, tmp_path)
    assert [outcome.status for outcome in fetched([file] * 3, tmp_path)] == ["fetched"] * 3
    assert server.requests["/file0.bin"] == 1
    assert_whole([file])


def test_what_is_known_by_its_checksum_is_looked_at_again_though_its_size_is_the_same(server, tmp_path):
    (file,) = published(server, tmp_path)
    file = dataclasses.replace(file, rehash=True)
    fetched([file], tmp_path)
    file.path.write_bytes(b"\xff" * SIZE)
    (outcome,) = fetched([file], tmp_path)
    assert (outcome.status, outcome.sha256) == ("kept", file_sha256(file.path))
    assert read_manifest(tmp_path / "here" / "manifest.jsonl")["file0.bin"]["sha256"] == outcome.sha256


def test_a_disk_that_takes_a_part_at_a_time_gets_all(tmp_path):
    taken = []
    fetch._write(
        types.SimpleNamespace(write=lambda rest: taken.append(bytes(rest[:3])) or min(3, len(rest))), b"0123456"
    )
    assert b"".join(taken) == b"0123456"
