"""One request to an archive: what its answer means, whatever the server writes in it."""

import email.utils
import socket
import threading
import time
import types
import urllib.error

import pytest
from fixture_archive import ArchiveServer

from lux.datasets.http import RefusedError, TryAgainError, answer_to, remote_size, retry_after, total_size, validator_of

CONTENT = b"0123456789"


@pytest.fixture
def server(tmp_path):
    (tmp_path / "file.bin").write_bytes(CONTENT)
    with ArchiveServer(tmp_path).running() as server:
        yield server


@pytest.fixture
def url(server):
    return f"http://127.0.0.1:{server.server_address[1]}/file.bin"


def answered(status, **headers):
    return types.SimpleNamespace(
        status=status, headers={name.replace("_", "-"): text for name, text in headers.items()}
    )


def test_a_wait_may_be_given_as_a_date():
    soon = email.utils.formatdate(time.time() + 30, usegmt=True)
    refusal = types.SimpleNamespace(headers={"Retry-After": soon})
    assert 25 < retry_after(refusal) <= 30
    past = types.SimpleNamespace(headers={"Retry-After": "Fri, 01 Jan 2021 00:00:00 GMT"})
    assert retry_after(past) == 0


@pytest.mark.parametrize(("text", "seconds"), [("7", 7.0), ("-3", 0.0), ("soon", None), (None, None)])
def test_a_wait_is_a_number_or_nothing(text, seconds):
    assert retry_after(types.SimpleNamespace(headers={"Retry-After": text})) == seconds


def test_an_answer_continues_where_it_was_requested_to(url):
    with answer_to(url, {"Range": "bytes=4-"}, 5.0, 4) as answer:
        assert total_size(answer, 4, answer.headers["ETag"]) == len(CONTENT)
        assert answer.read() == CONTENT[4:]


def test_a_complete_file_has_no_further_answer(url):
    with answer_to(url, {"Range": "bytes=10-"}, 5.0, 10) as answer:
        assert answer is None


def test_a_range_beyond_the_file_must_start_again(url):
    with pytest.raises(TryAgainError, match="416") as error, answer_to(url, {"Range": "bytes=99-"}, 5.0, 99):
        pass
    assert error.value.restart


@pytest.mark.parametrize(
    ("status", "kind"), [(404, RefusedError), (410, RefusedError), (403, RefusedError), (503, TryAgainError)]
)
def test_a_refusal_is_final_or_passes(server, url, status, kind):
    server.faults.add("file.bin", status)
    with pytest.raises(kind, match=str(status)) as error, answer_to(url, {}, 5.0):
        pass
    if kind is RefusedError:
        assert error.value.absent == (status in (404, 410))


def test_the_size_of_a_whole_file_is_read_from_either_kind_of_answer():
    assert total_size(answered(200, Content_Length="12"), 0) == 12
    assert total_size(answered(200), 0) is None
    assert total_size(answered(206, Content_Range="bytes 5-11/12"), 5) == 12
    assert total_size(answered(206, Content_Range="bytes 5-11/*"), 5) is None
    assert total_size(answered(206, Content_Range="bytes 5-11/*"), 5, "", 12) == 12
    with pytest.raises(TryAgainError, match="requested bytes from 5, the server gave 'bytes 4-11/12'"):
        total_size(answered(206, Content_Range="bytes 4-11/12"), 5)
    with pytest.raises(TryAgainError, match="requested the whole file"):
        total_size(answered(206, Content_Range="bytes 0-11/12"), 0)


def test_what_is_not_of_the_same_file_does_not_continue_it():
    whole = {"Content_Range": "bytes 5-11/12", "ETag": '"a"'}
    assert total_size(answered(206, **whole), 5, '"a"', 12) == 12
    for validator, expected in (('"b"', 12), ('"a"', 13)):
        with pytest.raises(TryAgainError, match="changed on the server") as error:
            total_size(answered(206, **whole), 5, validator, expected)
        assert error.value.restart


def test_a_weak_tag_ties_nothing_but_a_date_does():
    assert validator_of({"ETag": '"abc"', "Last-Modified": "now"}) == '"abc"'
    assert validator_of({"ETag": 'W/"abc"', "Last-Modified": "now"}) == "now"
    assert validator_of({"ETag": 'W/"abc"'}) == ""


def test_the_size_of_a_remote_file_is_known_without_fetching_it(server, url):
    assert remote_size(url) == len(CONTENT)
    assert not sum(server.requests.values())
    with pytest.raises(urllib.error.HTTPError):
        remote_size(url + ".absent")


@pytest.mark.parametrize("said", [b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: abc\r\n\r\n"])
def test_a_size_that_is_none_is_not_known_and_what_is_no_answer_a_fault_of_the_connection(said):
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer():
            with listening.accept()[0] as connection:
                connection.recv(1000)
                connection.sendall(said)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/file"
        if said.startswith(b"HTTP"):
            assert remote_size(url, 5.0) is None
        else:
            with pytest.raises(OSError, match=r"BadStatusLine: SSH-2.0-OpenSSH$"):
                remote_size(url, 5.0)
        thread.join(5.0)
