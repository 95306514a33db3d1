"""One request to an archive over HTTP, and the three things that its answer can mean: content, try again, never.

See RFC 9110 for ranges, validators and Retry-After.
"""

import contextlib
import email.utils
import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any

from lux.store.files import LocalDiskError

_USER_AGENT = "lux-paper (astronomical research; resumable, few connections)"
# Answers that another try may change.
_PASSING = {408, 425, 429, 500, 502, 503, 504}


class TryAgainError(Exception):
    """A transfer did not end well.

    `wait` is the wait that the server requests, in seconds; `content` says that all came and is not what it should be;
    `restart` that what is there cannot be continued.
    """

    def __init__(self, reason: str, *, wait: float | None = None, content: bool = False, restart: bool = False):
        super().__init__(reason)
        self.wait, self.content, self.restart = wait, content, restart or content


class RefusedError(Exception):
    """The server will not give this file, however often it is requested."""


@contextlib.contextmanager
def answer_to(url: str, headers: dict[str, str], timeout: float, offset: int = 0) -> Iterator[Any]:
    """Yield the server's answer, or None if the file has no byte beyond `offset`; raise what the tries understand."""
    try:
        with urllib.request.urlopen(_request(url, headers), timeout=timeout) as answer:
            yield answer
    except urllib.error.HTTPError as error:
        with error:
            reason = f"the server answered {error.code} {error.reason}"
            if error.code == 416 and error.headers.get("Content-Range") == f"bytes */{offset}":
                yield None
                return
            if error.code not in _PASSING and error.code != 416:
                raise RefusedError(reason) from error
            raise TryAgainError(reason, wait=retry_after(error), restart=error.code == 416) from error
    except LocalDiskError:
        raise
    except (OSError, http.client.HTTPException) as error:
        # URLError, timeouts, resets and answers that stop short are among these.
        raise TryAgainError(f"{getattr(error, 'reason', None) or error or type(error).__name__}") from error


def remote_size(url: str, timeout: float = 30.0) -> int | None:
    """Return the bytes of a remote file without fetching it, or None where the server does not say.

    Raises
    ------
    OSError
        If the server cannot be reached or refuses.
    """
    with urllib.request.urlopen(_request(url, method="HEAD"), timeout=timeout) as answer:
        size = answer.headers.get("Content-Length")
    return int(size) if size else None


def _request(url: str, headers: dict[str, str] | None = None, method: str = "GET") -> urllib.request.Request:
    identity = {"User-Agent": _USER_AGENT, "Accept-Encoding": "identity"}
    return urllib.request.Request(url, headers=identity | (headers or {}), method=method)


def total_size(answer: http.client.HTTPResponse, offset: int) -> int | None:
    """Return the size of the whole file as the answer gives it; raise if it does not continue at `offset`."""
    if answer.status == 206:
        place = answer.headers.get("Content-Range", "")
        unit, _, rest = place.partition(" ")
        span, _, total = rest.partition("/")
        if unit != "bytes" or span.partition("-")[0] != str(offset):
            raise TryAgainError(f"requested bytes from {offset}, the server gave {place!r}")
        return int(total) if total.isdigit() else None
    length = answer.headers.get("Content-Length")
    return int(length) if length and length.isdigit() else None


def validator_of(headers: Mapping[str, str]) -> str:
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
