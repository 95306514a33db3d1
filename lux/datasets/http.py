"""One request to an archive over HTTP, and what its answer can mean: content, try again, not now, never.

See RFC 9110 for ranges, validators and Retry-After. What drips is broken off wherever it does, in a header too; the
bodies of redirections are not read.
"""

import contextlib
import email.utils
import functools
import http.client
import io
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from typing import IO, Any

from lux.store.files import LocalDiskError

_USER_AGENT = "lux-paper (astronomical research; resumable, few connections)"
# Answers that another try may change.
_PASSING = {408, 425, 429, 500, 502, 503, 504}
# Answers by which an archive says that it has no such file.
_ABSENT = {404, 410}
_CONTENT = {200, 206}
_PAGES = ("text/html", "application/xhtml+xml")
# Bytes of a header, and of what comes before it, beyond which it is none.
_MAX_HEADER = 1 << 20
# Bytes per second.
_MIN_RATE = 1000.0


class TryAgainError(Exception):
    """A transfer did not end well.

    `wait` is the wait that the server requests, in seconds; `content` says that all came and is not what it should be;
    `restart` that what is there cannot be continued.
    """

    def __init__(self, reason: str, *, wait: float | None = None, content: bool = False, restart: bool = False):
        super().__init__(reason)
        self.wait, self.content, self.restart = wait, content, restart or content


class RefusedError(Exception):
    """The server does not give this file now, however often it is requested.

    `absent` says that it has none; otherwise a later run may succeed, as after a log-in.
    """

    def __init__(self, reason: str, *, absent: bool = False):
        super().__init__(reason)
        self.absent = absent


class _Metered(io.RawIOBase):
    """The bytes of a connection, broken off where they come slower than `min_rate` over `timeout` seconds."""

    def __init__(self, raw: io.RawIOBase, timeout: float, min_rate: float):
        self._raw, self._timeout, self._min_rate = raw, timeout, min_rate
        self._left: float = _MAX_HEADER
        self._since, self._recent = time.monotonic(), 0

    def readable(self) -> bool:
        return True

    def end_header(self) -> None:
        """Measure anew, without a largest size."""
        self._left = float("inf")
        self._since, self._recent = time.monotonic(), 0

    def readinto(self, buffer: Any) -> int | None:
        count = self._raw.readinto(buffer)
        self._recent += count or 0
        self._left -= count or 0
        if self._left < 0:
            raise http.client.HTTPException(f"the header of the answer has more than {_MAX_HEADER} bytes")
        elapsed = time.monotonic() - self._since
        if count and elapsed > self._timeout:
            if self._recent < self._min_rate * elapsed:
                raise TimeoutError(f"only {self._recent} bytes came in {elapsed:.0f} s")
            self._since, self._recent = time.monotonic(), 0
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    """An answer that is read through a meter."""

    def __init__(self, sock: Any, *args: Any, timeout: float, min_rate: float, **options: Any):
        super().__init__(sock, *args, **options)
        self.fp.close()
        self._meter = _Metered(sock.makefile("rb", buffering=0), timeout, min_rate)
        self.fp = io.BufferedReader(self._meter)

    def begin(self) -> None:
        super().begin()
        self._meter.end_header()


class _Metering(urllib.request.AbstractHTTPHandler):
    min_rate = _MIN_RATE

    def do_open(self, http_class: Any, req: urllib.request.Request, **http_conn_args: Any) -> Any:
        how: dict[str, Any] = {"timeout": req.timeout, "min_rate": self.min_rate}
        metered: Any = type(http_class.__name__, (http_class,), {"response_class": functools.partial(_Response, **how)})
        return super().do_open(metered, req, **http_conn_args)


class _Http(_Metering, urllib.request.HTTPHandler):
    pass


class _Https(_Metering, urllib.request.HTTPSHandler):
    pass


class _Redirect(urllib.request.HTTPRedirectHandler):
    """Go where the archive says without reading the page that says it, which may have no end."""

    def http_error_302(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: http.client.HTTPMessage
    ) -> Any:
        fp.read = lambda *_: b""  # type: ignore[method-assign]
        return super().http_error_302(req, fp, code, msg, headers)

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


@functools.lru_cache(maxsize=8)
def _opener(min_rate: float) -> urllib.request.OpenerDirector:
    handlers = _Http(), _Https()
    for each in handlers:
        each.min_rate = min_rate
    return urllib.request.build_opener(*handlers, _Redirect())


@contextlib.contextmanager
def answer_to(
    url: str, headers: dict[str, str], timeout: float, offset: int = 0, min_rate: float = _MIN_RATE
) -> Iterator[Any]:
    """Yield the server's answer, or None if the file has no byte beyond `offset`; raise what the tries understand."""
    try:
        with _opener(min_rate).open(_request(url, headers), timeout=timeout) as answer:
            _require_content(answer)
            yield answer
    except urllib.error.HTTPError as error:
        with error:
            reason = f"the server answered {error.code} {error.reason}"
            if error.code == 416 and error.headers.get("Content-Range") == f"bytes */{offset}":
                yield None
                return
            if error.code not in _PASSING and error.code != 416:
                raise RefusedError(" ".join(reason.split()), absent=error.code in _ABSENT) from error
            raise TryAgainError(reason, wait=retry_after(error), restart=error.code == 416) from error
    except LocalDiskError:
        raise
    except (OSError, http.client.HTTPException) as error:
        # URLError, timeouts, resets and answers that stop short are among these.
        reason = str(getattr(error, "reason", None) or error or type(error).__name__)
        raise TryAgainError(" ".join(reason.split())) from error


def _require_content(answer: Any) -> None:
    """Raise if what comes is no file: an answer of another kind, a page in its place, or compressed."""
    # Files of this machine, file://, come without a status.
    if answer.status is not None and answer.status not in _CONTENT:
        raise TryAgainError(f"the server answered {answer.status} {answer.reason}")
    if answer.headers.get_content_type() in _PAGES:
        raise RefusedError(f"a web page came in its place, from {answer.url}: one may have to log in there first")
    encoding = (answer.headers.get("Content-Encoding") or "identity").strip().lower()
    if encoding != "identity":
        raise RefusedError(f"the server, or one between, compressed it ({encoding}), which was not asked for")


def remote_size(url: str, timeout: float = 30.0) -> int | None:
    """Return the bytes of a remote file without fetching it, or None where the server does not say.

    Raises
    ------
    OSError
        If the server cannot be reached, refuses, or answers with what is no HTTP.
    """
    try:
        with _opener(_MIN_RATE).open(_request(url, method="HEAD"), timeout=timeout) as answer:
            size = answer.headers.get("Content-Length") or ""
    except http.client.HTTPException as error:
        raise OSError(" ".join(f"{type(error).__name__}: {error}".split())) from error
    return int(size) if size.isdecimal() else None


def _request(url: str, headers: dict[str, str] | None = None, method: str = "GET") -> urllib.request.Request:
    identity = {"User-Agent": _USER_AGENT, "Accept-Encoding": "identity"}
    return urllib.request.Request(url, headers=identity | (headers or {}), method=method)


def total_size(
    answer: http.client.HTTPResponse, offset: int, validator: str = "", expected: int | None = None
) -> int | None:
    """Return the size of the whole file as the answer gives it; raise if it does not continue at `offset`.

    What is continued has a validator and, if it was known, the `expected` size: there are servers that give what they
    have now though asked for it only if it is the same (If-Range).
    """
    if answer.status == 206:
        place = answer.headers.get("Content-Range", "")
        unit, _, rest = place.partition(" ")
        span, _, text = rest.partition("/")
        if unit != "bytes" or span.partition("-")[0] != str(offset):
            raise TryAgainError(f"requested bytes from {offset}, the server gave {place!r}")
        if not offset:
            raise TryAgainError(f"requested the whole file, the server gave {place!r}", restart=True)
        found, total = validator_of(answer.headers), int(text) if text.isdecimal() else None
        if (found and found != validator) or (expected is not None and total not in (None, expected)):
            raise TryAgainError("the file changed on the server while it was fetched", restart=True)
        return expected if total is None else total
    length = answer.headers.get("Content-Length")
    return int(length) if length and length.isdigit() else None


def validator_of(headers: Mapping[str, str] | http.client.HTTPMessage) -> str:
    """Return what ties a partial file to the server's: its tag, unless that is a weak one, or else its date."""
    tag = headers.get("ETag") or ""
    return tag if tag and not tag.startswith("W/") else headers.get("Last-Modified") or ""


def retry_after(error: urllib.error.HTTPError) -> float | None:
    """Return the wait that the server requests in seconds, given as a number or a date, if it does."""
    text = error.headers.get("Retry-After")
    if text is None:
        return None
    with contextlib.suppress(ValueError):
        return max(0.0, float(text))
    with contextlib.suppress(ValueError, TypeError):
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    return None
