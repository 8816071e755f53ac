import hashlib
import http.server
import threading
from functools import partial

import pytest

from data_prep.download import fetch
from dim_tf.errors import DataError

CONTENT = bytes(range(256)) * 4000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT; `server.ranges` turns ranges on, `server.stop_at` breaks the connection."""

    def do_GET(self):
        wanted = self.headers.get("Range")
        self.server.asked.append(wanted)
        if self.path != "/files/a.tgz":
            self.send_error(404)
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        start = start if self.server.ranges else 0
        if start >= len(CONTENT):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(CONTENT)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        self.wfile.write(CONTENT[start : self.server.stop_at])

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.asked, server.ranges, server.stop_at = [], True, None
        server.url = f"http://127.0.0.1:{server.server_port}/files/a.tgz"
        thread = threading.Thread(target=partial(server.serve_forever, 0.02))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_file_is_fetched_once(tmp_path, server):
    path = fetch(server.url, SHA256, tmp_path / "cache")
    assert path == tmp_path / "cache/a.tgz"
    assert path.read_bytes() == CONTENT
    assert fetch(server.url, SHA256, tmp_path / "cache") == path
    assert server.asked == [None]
    assert [p.name for p in path.parent.iterdir()] == ["a.tgz"]


def test_a_broken_download_goes_on_where_it_stopped(tmp_path, server):
    server.stop_at = 300_000
    with pytest.raises(DataError, match=r"ended at 300,000 of 1,024,000 bytes; 300,000 bytes are"):
        fetch(server.url, SHA256, tmp_path)
    assert not (tmp_path / "a.tgz").exists()
    server.stop_at = None
    assert fetch(server.url, SHA256, tmp_path).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=300000-"]


def test_a_server_without_ranges_is_asked_for_all_of_it(tmp_path, server):
    server.ranges = False
    (tmp_path / "a.tgz.part").write_bytes(CONTENT[:1000])
    assert fetch(server.url, SHA256, tmp_path).read_bytes() == CONTENT


def test_a_whole_part_file_is_only_checked(tmp_path, server):
    (tmp_path / "a.tgz.part").write_bytes(CONTENT)
    assert fetch(server.url, SHA256, tmp_path).read_bytes() == CONTENT
    assert server.asked == [f"bytes={len(CONTENT)}-"]


def test_a_part_file_that_is_too_long_is_fetched_anew(tmp_path, server):
    (tmp_path / "a.tgz.part").write_bytes(CONTENT + b"more")
    assert fetch(server.url, SHA256, tmp_path).read_bytes() == CONTENT
    assert server.asked == [f"bytes={len(CONTENT) + 4}-", None]


def test_a_wrong_sum_shows_both_and_leaves_nothing(tmp_path, server):
    with pytest.raises(DataError) as error:
        fetch(server.url, "0" * 64, tmp_path)
    assert f"found sha256 {SHA256}, expected {'0' * 64}" in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_file_in_the_cache_is_fetched_anew(tmp_path, server):
    (tmp_path / "a.tgz").write_bytes(b"damaged")
    assert fetch(server.url, SHA256, tmp_path).read_bytes() == CONTENT


def test_file_addresses_work(tmp_path):
    source = tmp_path / "of mine.tgz"
    source.write_bytes(CONTENT)
    assert fetch(source.as_uri(), SHA256, tmp_path / "cache").read_bytes() == CONTENT
    assert source.exists()


def test_what_cannot_be_had_is_named(tmp_path, server):
    with pytest.raises(DataError, match=r"cannot download .*/b\.tgz: the server answered 404"):
        fetch(server.url.replace("a.tgz", "b.tgz"), SHA256, tmp_path)
    with pytest.raises(DataError, match=r"cannot download file:.*: .*No such file"):
        fetch((tmp_path / "gone.tgz").as_uri(), SHA256, tmp_path)
    with pytest.raises(DataError, match=r"cannot download nonsense/a\.tgz: unknown url type"):
        fetch("nonsense/a.tgz", SHA256, tmp_path)
    with pytest.raises(DataError, match="expected one that ends in a file name"):
        fetch("http://127.0.0.1/", SHA256, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_is_not_there_is_named(tmp_path):
    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as closed:
        port = closed.server_port
    with pytest.raises(DataError, match=r"cannot download .*: .*refused"):
        fetch(f"http://127.0.0.1:{port}/a.tgz", SHA256, tmp_path)
