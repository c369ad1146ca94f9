"""One HTTP request: what the answer means, and a body that must be as long as declared."""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from http.client import HTTPMessage
from string import punctuation
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlsplit
from urllib.request import (
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    Request,
    build_opener,
)

from targetscore import __version__
from targetscore.errors import plain

CHUNK = 1 << 18
SURPLUS_WAIT = 0.5
LONGEST_RETRY_AFTER = 300.0
_AGENT = f"targetscore/{__version__}"
_BY_HAND = "download it by hand and give its path as url"


class Retry(Exception):  # noqa: N818 (a signal to the loop, never seen by a user)
    """Signal that a try failed and the next may succeed.

    Parameters
    ----------
    reason
        What happened.
    wait
        Seconds the server asks to wait, None if it does not say.
    """

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


class Restart(Retry):
    """What was received so far does not belong to the file the server has now."""


class Final(Exception):  # noqa: N818 (turned into a FetchError with the URL)
    """No further try can succeed.

    Parameters
    ----------
    wrong, remedy
        As in :class:`~targetscore.errors.Problem`.
    status
        What the server answered, None if it is not about that.
    """

    def __init__(self, wrong: str, remedy: str, status: int | None = None) -> None:
        super().__init__(wrong)
        self.wrong = wrong
        self.remedy = remedy
        self.status = status


class Response(http.client.HTTPResponse):
    """A response whose body is counted, also beyond what the server declared."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self._socket = sock

    @property
    def declared(self) -> int | None:
        """Bytes of the body by Content-Length; None if it does not say, or before reading."""
        return self.length

    def body(self) -> Iterator[bytes]:
        """Give the body piece by piece, raw: a Content-Encoding is not undone.

        Raises
        ------
        Retry
            If the connection breaks or stalls, or the body is shorter than declared.
        Restart
            If the body is longer than declared.
        """
        # The library stops at the declared length; without it, surplus bytes can be seen.
        left, self.length = self.length, None
        try:
            while left is None or left > 0:
                piece = self.read1(CHUNK if left is None else min(CHUNK, left))
                if not piece:
                    break
                left = None if left is None else left - len(piece)
                yield piece
        except (OSError, http.client.HTTPException) as error:
            raise Retry(f"the connection broke ({plain(repr(error))})") from error
        if left:
            raise Retry(f"the server stopped {left:,} bytes before the end")
        if left == 0 and self._surplus():
            raise Restart("the server sent more bytes than it declared")

    def _surplus(self) -> bool:
        # A server that keeps the connection open sends nothing more; it is not waited for long.
        try:
            self._socket.settimeout(SURPLUS_WAIT)
            return bool(self.read1(1))
        except (OSError, http.client.HTTPException):
            return False


class _Http(http.client.HTTPConnection):
    response_class = Response


class _Https(http.client.HTTPSConnection):
    response_class = Response


class _HttpHandler(HTTPHandler):
    def http_open(self, req: Request) -> http.client.HTTPResponse:
        return self.do_open(_Http, req)


class _HttpsHandler(HTTPSHandler):
    def https_open(self, req: Request) -> http.client.HTTPResponse:
        return self.do_open(_Https, req, context=ssl.create_default_context())


class _Redirects(HTTPRedirectHandler):
    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        scheme = urlsplit(newurl).scheme.lower()
        if scheme != "https" and not (scheme == "http" and req.type == "http"):
            fp.close()
            wrong = f"the server redirects from {req.type}: to {plain(scheme)}:"
            raise Final(wrong, "nobody vouches for what comes from there; give the new URL")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> OpenerDirector:
    return build_opener(_HttpHandler, _HttpsHandler, _Redirects)


def request(url: str, headers: Mapping[str, str], timeout: float) -> Response:
    """Send a GET request, follow redirects, and sort the answer.

    Parameters
    ----------
    url
        http(s) URL.
    headers
        Headers besides the agent and ``Accept-Encoding: identity``.
    timeout
        Seconds without a byte after which the connection counts as stalled.

    Returns
    -------
    Response
        With status 200, or 206 if ``headers`` holds a Range; not read yet.

    Raises
    ------
    Retry
        Connection errors, timeouts, 5xx and 429.
    Restart
        416: the server has no such range.
    Final
        Any other status, an HTML page, a certificate that cannot be verified.
    """
    own = {"User-Agent": _AGENT, "Accept-Encoding": "identity"}
    # Spaces and letters beyond ASCII must travel encoded; what is encoded stays as it is.
    sent = Request(quote(url, safe=punctuation), headers={**own, **headers})
    try:
        response: Response = _opener().open(sent, timeout=timeout)
    except HTTPError as error:
        with error:
            wait = retry_after(error.headers.get("Retry-After"))
            raise _by_status(error.code, plain(error.reason), wait, "Range" in headers) from error
    except URLError as error:
        if isinstance(error.reason, ssl.SSLCertVerificationError):
            wrong = f"the server's certificate cannot be verified ({plain(error.reason)})"
            remedy = "if your institution has its own authority, name its file in SSL_CERT_FILE"
            raise Final(wrong, remedy) from error
        raise Retry(f"cannot be reached ({plain(error.reason)})") from error
    except (OSError, http.client.HTTPException) as error:
        raise Retry(f"the connection broke ({plain(repr(error))})") from error
    try:
        _refuse_no_data(response, ranged="Range" in headers)
    except Final:
        response.close()
        raise
    return response


def _by_status(code: int, reason: str, wait: float | None, ranged: bool) -> Exception:
    said = f"the server answered {code} {reason}"
    if code == 429 or code >= 500:
        return Retry(said, wait)
    if code == 416 and ranged:
        return Restart(said)
    if code in (401, 403):
        return Final(said, f"it asks for a login or a permission: {_BY_HAND}", code)
    if code in (404, 410):
        return Final(said, "look the file up at its publisher and correct the url", code)
    return Final(said, f"open the URL in a browser; if it works there, {_BY_HAND}", code)


def _refuse_no_data(response: Response, ranged: bool) -> None:
    if response.status not in ((200, 206) if ranged else (200,)):
        said = f"the server answered {response.status} {plain(response.reason)} instead of a file"
        raise Final(said, f"open the URL in a browser; if it works there, {_BY_HAND}")
    if response.headers.get_content_type() in ("text/html", "application/xhtml+xml"):
        raise html_page()
    if response.status == 200 and response.declared == 0:
        raise Final("the server sent an empty file", "look the file up at its publisher")


def html_page() -> Final:
    """Build the failure that a web page came instead of a file."""
    remedy = f"open the URL in a browser: it may ask for a login or for consent; then {_BY_HAND}"
    return Final("the server sent a web page instead of a file", remedy)


def retry_after(value: str | None) -> float | None:
    """Return the seconds a Retry-After header asks to wait, capped; None if unreadable."""
    if value is None:
        return None
    try:
        seconds = (
            int(value)
            if value.strip().isdecimal()
            else parsedate_to_datetime(value).timestamp() - time.time()
        )
    except (ValueError, OverflowError):
        return None
    return float(min(max(seconds, 0), LONGEST_RETRY_AFTER))
