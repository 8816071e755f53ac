"""Downloads an archive and checks its sha256 before it is used."""

from __future__ import annotations

import http.client
import urllib.parse
import urllib.request
from pathlib import Path

from dim_tf.cli.progress import Progress
from dim_tf.errors import DataError
from dim_tf.io import atomic

PERSONACHAT_URL = "http://parl.ai/downloads/personachat/personachat.tgz"
PERSONACHAT_SHA256 = "507cf8641d333240654798870ea584d854ab5261071c5e3521c20d8fa41d5622"
TIMEOUT_S = 60.0


def fetch(url: str, sha256: str, folder: Path) -> Path:
    """Downloads a file into a folder, unless it is there with this sha256; returns its path.

    Raises:
        DataError: The download failed, or the sha256 differs. No file is left behind.
    """
    try:
        name = Path(urllib.parse.unquote(urllib.parse.urlsplit(url).path)).name
    except ValueError:  # half of an IPv6 address
        name = ""
    if not name:
        raise DataError(f"found the address {url!r}, expected one that ends in a file name")
    target = folder / name
    if target.is_file() and atomic.sha256(target) == sha256:
        return target
    folder.mkdir(parents=True, exist_ok=True)
    with atomic.replacing(target) as part:
        try:
            _download(url, part)
        except (http.client.HTTPException, OSError, ValueError) as error:
            raise DataError(
                f"cannot download {url}: {str(error) or type(error).__name__}"
            ) from error
        found = atomic.sha256(part)
        if found != sha256:
            raise DataError(f"{url}: found sha256 {found}, expected {sha256}; the file was removed")
    return target


def _download(url: str, path: Path) -> None:
    request = urllib.request.Request(url, headers={"User-Agent": "dim_tf"})
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response, path.open("wb") as handle:
        length = response.headers.get("Content-Length")
        total = int(length) if length else None
        with Progress(f"downloading {path.name}", total, "B") as progress:
            while chunk := response.read(1 << 18):
                handle.write(chunk)
                progress.advance(len(chunk))
        if total and handle.tell() < total:
            raise ConnectionError(f"connection closed at {handle.tell():,} of {total:,} bytes")
