"""Fetches an archive: resumes what was begun, and checks its sum before anybody reads it."""

from __future__ import annotations

import http.client
import os
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from dim_tf.cli.progress import Progress
from dim_tf.errors import DataError
from dim_tf.io.atomic import sha256 as sum_of

PERSONACHAT_URL = "http://parl.ai/downloads/personachat/personachat.tgz"
PERSONACHAT_SHA256 = "507cf8641d333240654798870ea584d854ab5261071c5e3521c20d8fa41d5622"
TIMEOUT_S = 60.0

_CHUNK = 1 << 18


def fetch(url: str, sha256: str, folder: str | os.PathLike) -> Path:
    """Downloads `url` into `folder`, unless the file with this sum lies there already.

    What has arrived is kept in a `.part` file; a later call goes on from there if the server
    knows HTTP ranges, and starts again if not. `file://` addresses work too.

    Args:
        url: Where the file is.
        sha256: The sum it must have, in hexadecimal.
        folder: Where to keep it; made if missing.

    Returns:
        The path of the file.

    Raises:
        DataError: It cannot be had, the connection broke, or the sum is another one (the file is
            then removed).
    """
    name = Path(urllib.parse.unquote(urllib.parse.urlsplit(url).path)).name
    if not name:
        raise DataError(f"found the address {url!r}, expected one that ends in a file name")
    target = Path(folder) / name
    part = target.with_name(f"{name}.part")
    if target.is_file() and sum_of(target) == sha256:
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        _download(url, part)
    except (http.client.HTTPException, OSError, ValueError) as error:
        raise DataError(f"cannot download {url}: {_reason(error)}{_kept(part)}") from error
    found = sum_of(part)
    if found != sha256:
        part.unlink()
        message = f"found sha256 {found}, expected {sha256}; the file from {url} was removed"
        raise DataError(message, path=target)
    part.replace(target)
    return target


def _download(url: str, part: Path) -> None:
    have = part.stat().st_size if part.is_file() else 0
    try:
        response = _open(url, have)
    except urllib.error.HTTPError as error:
        if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE or not have:
            raise
        # Nothing lies behind what we have: it is the whole file, or not the same one.
        total = error.headers.get("Content-Range", "").rpartition("/")[2]
        if total == str(have):
            return
        have, response = 0, _open(url, 0)
    with response:
        if not _goes_on(response, have):
            have = 0
        length = response.headers.get("Content-Length")
        total = None if length is None else have + int(length)
        with (
            part.open("ab" if have else "wb") as handle,
            Progress(f"downloading {part.stem}", total, "B", start=have) as progress,
        ):
            while chunk := response.read(_CHUNK):
                handle.write(chunk)
                have += len(chunk)
                progress.advance(len(chunk))
    if total is not None and have < total:
        raise ConnectionError(f"the connection ended at {have:,} of {total:,} bytes")


def _open(url: str, start: int):
    headers = {"User-Agent": "dim_tf"} | ({"Range": f"bytes={start}-"} if start else {})
    return urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT_S)


def _goes_on(response, have: int) -> bool:
    """Whether the server sends the rest after `have` bytes, not the whole file again."""
    partial = getattr(response, "status", None) == http.HTTPStatus.PARTIAL_CONTENT
    return partial and response.headers.get("Content-Range", "").startswith(f"bytes {have}-")


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"the server answered {error.code} {error.reason}"
    if isinstance(error, urllib.error.URLError):
        return str(error.reason)
    return str(error) or type(error).__name__


def _kept(part: Path) -> str:
    if not part.is_file():
        return ""
    return f"; {part.stat().st_size:,} bytes are kept, run the command again to go on"
