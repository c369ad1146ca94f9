"""A file from a server: resumed, retried, verified, and only then given its name."""

from __future__ import annotations

import logging
import re
import time
from contextlib import closing
from pathlib import Path

from targetscore.errors import plain
from targetscore.fetch.connection import Final, Response, Restart, Retry, html_page, request
from targetscore.fetch.local import NEW_VERSION, hash_file
from targetscore.fetch.manifest import FetchedFile
from targetscore.fetch.part import Part, beside, disk_error
from targetscore.fetch.patience import Patience
from targetscore.fetch.sources import Source
from targetscore.io import write_text
from targetscore.progress import Progress, size_text

GAIN = 1 << 20


def download(source: Source, folder: Path, progress: Progress, patience: Patience) -> FetchedFile:
    """Bring a file to a folder unless it is there; no request is made if it is.

    Parameters
    ----------
    source
        What to bring, from http or https.
    folder
        Where to. The file is called ``source.name``; beside it stand ``.sha256`` (what was
        found), and ``.part`` and ``.part.json`` while it is not complete.
    progress
        Told about every byte.
    patience
        How long to go on.

    Raises
    ------
    FetchError
        If the file cannot be brought, or has another checksum than the registry declares; it
        is then kept as ``<name>.wrong-checksum``.
    """
    target = source.path(folder)
    try:
        there = _already_there(source, target, progress)
        if there is not None:
            return there
        part = Part(source, target, progress)
    except OSError as error:
        raise source.error(f"cannot be read ({plain(error)})", "check permissions") from error
    try:
        _complete(part, progress, patience)
        _check(part, target)
    except Final as error:
        raise source.error(error.wrong, error.remedy) from error
    finally:
        progress.finish()
    part.keep_as(target)
    progress.say(f"{target.name}: {size_text(part.size)}, sha256 {part.sha256}")
    return _record(FetchedFile(str(target), source.written, part.size, part.sha256), target, source)


def _already_there(source: Source, target: Path, progress: Progress) -> FetchedFile | None:
    if not target.is_file() or target.stat().st_size == 0:
        return None
    found, n_bytes = hash_file(target, progress)
    url, recorded = _recorded(target)
    file = FetchedFile(str(target), source.written, n_bytes, found)
    if source.sha256:
        if found == source.sha256:
            return file
        wrong = "has another checksum than the registry"
    elif not recorded:
        progress.say(f"{target.name} is there without a record and is used as it is")
        return _record(file, target, source)
    elif url != source.written:
        wrong = "is from another URL"
    elif found == recorded:
        return file
    else:
        wrong = "was changed after it was fetched"
    progress.say(f"{target.name} {wrong}; it is fetched again", logging.WARNING)
    return None


def _recorded(target: Path) -> tuple[str, str]:
    """Return the URL and the checksum recorded at the first complete fetch, or nothing."""
    try:
        text = beside(target, ".sha256").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return "", ""
    match = re.fullmatch(r"# (\S+)\n([0-9a-f]{64})  .*\n", text)
    return (match[1], match[2]) if match else ("", "")


def _record(file: FetchedFile, target: Path, source: Source) -> FetchedFile:
    """Write the checksum in the form that ``sha256sum --check`` reads."""
    text = f"# {source.written}\n{file.sha256}  {target.name}\n"
    try:
        write_text(text, beside(target, ".sha256"))
    except OSError as error:
        raise disk_error(error, source, target.parent, len(text)) from error
    return file


def _complete(part: Part, progress: Progress, patience: Patience) -> None:
    """Try until every byte is there, or patience ends."""
    failed, furthest = 0, part.size
    while not part.complete:
        try:
            _receive(part, progress, patience)
            return
        except Retry as retry:
            failed += 1
            if isinstance(retry, Restart):
                part.discard()
            elif part.size >= furthest + GAIN:
                failed, furthest = 0, part.size
            if failed >= patience.tries:
                wrong = f"{retry}, {failed} times in a row"
                remedy = (
                    "check network and proxy settings, or try later: it goes on where it stopped"
                )
                raise Final(wrong, remedy) from retry
            wait = patience.wait(failed, retry.wait)
            text = f"{part.source.name}: {retry}; next try in {wait:.0f} s"
            progress.say(text, logging.WARNING)
        time.sleep(wait)


def _receive(part: Part, progress: Progress, patience: Patience) -> None:
    """Make one request and append what comes."""
    headers = part.resume_headers()
    with closing(request(part.source.url, headers, patience.timeout)) as response:
        if response.status == 206:
            _refuse_other_rest(part, response)
        else:
            _refuse_unsound(part.source, response)
            answer = response.headers
            part.begin(response.declared, answer.get("ETag", ""), answer.get("Last-Modified", ""))
        progress.start(part.source.name, part.total, part.size)
        part.append(response.body(), progress)
    if part.total is None:
        part.total = part.size
    if not part.complete:
        raise Restart(f"{part.size:,} bytes came where {part.total:,} were announced")


def _refuse_other_rest(part: Part, response: Response) -> None:
    """Refuse a 206 that is not exactly the rest of the part at hand."""
    answer = response.headers
    match = re.fullmatch(
        r"bytes (\d{1,18})-\d+/(\d{1,18}|\*)", answer.get("Content-Range", "").strip()
    )
    if match is None or int(match[1]) != part.size:
        raise Restart("the server sent another range than it was asked for")
    if match[2] != "*":
        if part.total not in (None, int(match[2])):
            raise Restart("the file changed its size on the server")
        part.total = int(match[2])
    # A 206 must repeat the ETag (RFC 9110 15.3.7) but may leave out the date.
    same_tag = answer.get("ETag", "") == part.etag
    same_date = answer.get("Last-Modified", part.modified) == part.modified
    if not (same_tag and same_date):
        raise Restart("the file changed on the server")


def _refuse_unsound(source: Source, response: Response) -> None:
    """Refuse a body of which nobody could tell whether it is complete, or the file itself."""
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    # Some servers call a file that is stored compressed "encoded"; its bytes are still the file.
    stored = source.name.lower().endswith((".gz", ".tgz")) and encoding in ("gzip", "x-gzip")
    if encoding not in ("", "identity") and not stored:
        wrong = f"the server sent the file re-encoded ({plain(encoding)})"
        raise Final(wrong, "download it by hand and give its path as url")
    if response.declared is None and not response.chunked and not source.sha256:
        wrong = "the server does not say how long the file is, so a cut-off could not be noticed"
        raise Final(wrong, "give the row the file's sha256")


def _check(part: Part, target: Path) -> None:
    """Refuse a complete file that is a web page or not the promised one."""
    expected = part.source.sha256
    if part.sha256 == expected:
        return
    with part.path.open("rb") as stream:
        start = stream.read(1024).lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html")):
        part.discard()
        raise html_page()
    if expected:
        kept = beside(target, ".wrong-checksum")
        found = part.sha256
        part.keep_as(kept)
        wrong = f"another checksum than the registry: expected sha256 {expected}, found {found}"
        raise Final(f"{wrong}; the file is kept as '{plain(kept)}'", NEW_VERSION)
