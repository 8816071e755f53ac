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
    """Serves CONTENT at one address, the first `server.stop_at` bytes of it."""

    def do_GET(self):
        self.server.requests += 1
        if self.path != "/files/a.tgz":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[: self.server.stop_at])

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.requests, server.stop_at = 0, None
        server.url = f"http://127.0.0.1:{server.server_port}/files/a.tgz"
        thread = threading.Thread(target=partial(server.serve_forever, 0.02))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_file_is_fetched_once_and_again_if_it_is_damaged(tmp_path, server):
    path = fetch(server.url, SHA256, tmp_path / "cache")
    assert path == tmp_path / "cache/a.tgz"
    assert path.read_bytes() == CONTENT
    assert fetch(server.url, SHA256, tmp_path / "cache") == path
    assert server.requests == 1
    path.write_bytes(b"damaged")
    assert fetch(server.url, SHA256, tmp_path / "cache").read_bytes() == CONTENT
    assert [p.name for p in path.parent.iterdir()] == ["a.tgz"]


def test_file_addresses_work(tmp_path):
    source = tmp_path / "of mine.tgz"
    source.write_bytes(CONTENT)
    assert fetch(source.as_uri(), SHA256, tmp_path / "cache").read_bytes() == CONTENT
    assert source.exists()


def test_a_failed_download_is_named_and_leaves_nothing(tmp_path, server):
    for url, sha256, facts in (
        (server.url, "0" * 64, [SHA256, "0" * 64]),
        (server.url.replace("a.tgz", "b.tgz"), SHA256, ["b.tgz", "404"]),
        ((tmp_path / "gone.tgz").as_uri(), SHA256, ["gone.tgz", "No such file"]),
        ("nonsense/a.tgz", SHA256, ["nonsense/a.tgz", "unknown url type"]),
        ("http://127.0.0.1/", SHA256, ["file name"]),
        ("http://127.0.0.1:1/a.tgz", SHA256, ["refused"]),
    ):
        with pytest.raises(DataError) as error:
            fetch(url, sha256, tmp_path / "cache")
        assert all(fact in str(error.value) for fact in facts)
    server.stop_at = 300_000
    with pytest.raises(DataError, match="300,000 of 1,024,000 bytes"):
        fetch(server.url, SHA256, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []
