"""Weights from the web: a real server whose files change."""

from __future__ import annotations

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from eng.checkpoint._downloads import downloaded


class Server(ThreadingHTTPServer):
    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = {}
        self.sent = []
        self.agents = set()
        self.knows_head = True

    def url(self, path):
        return f"http://127.0.0.1:{self.server_port}{path}"


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_HEAD(self):
        self.answer() if self.server.knows_head else self.send_error(405)

    def do_GET(self):
        self.server.sent.append(self.path)
        self.wfile.write(self.answer())

    def answer(self):
        self.server.agents.add(self.headers["User-Agent"])
        content = self.server.files.get(self.path)
        if content is None:
            self.send_error(404)
            return b""
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", hashlib.sha256(content).hexdigest())
        self.end_headers()
        return content


@pytest.fixture
def server():
    server = Server()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_two_addresses_with_one_name_are_two_files(server, tmp_path):
    server.files = {"/a/best.pth": b"first", "/b/best.pth": b"second", "/b/best.pth?v=2": b"third"}
    contents = {path: downloaded(server.url(path), tmp_path, False).read_bytes() for path in server.files}
    assert contents == server.files


def test_file_is_fetched_once_until_it_changes(server, tmp_path):
    server.files["/best.pth"] = b"old"
    assert [downloaded(server.url("/best.pth"), tmp_path, False).read_bytes() for _ in range(2)] == [b"old"] * 2
    assert server.sent == ["/best.pth"]
    server.files["/best.pth"] = b"new"
    assert downloaded(server.url("/best.pth"), tmp_path, False).read_bytes() == b"new"
    assert server.sent == ["/best.pth"] * 2
    assert server.agents == {"torch.hub"}


@pytest.mark.parametrize("way", ["no HEAD", "gone"])
def test_server_that_tells_no_version_leaves_the_cache_in_use(server, tmp_path, way):
    server.files["/best.pth"] = b"old"
    path = downloaded(server.url("/best.pth"), tmp_path, False)
    if way == "gone":
        server.files.clear()
    else:
        server.knows_head = False
    assert downloaded(server.url("/best.pth"), tmp_path, False) == path
    assert server.sent == ["/best.pth"]


def test_name_with_a_hash_is_one_file_for_all_addresses(server, tmp_path):
    name = f"net-{hashlib.sha256(b'weights').hexdigest()[:8]}.pth"
    server.files[f"/a/{name}"] = b"weights"
    assert downloaded(server.url(f"/a/{name}"), tmp_path, False) == tmp_path / name
    assert downloaded(server.url(f"/mirror/{name}"), tmp_path, False) == tmp_path / name
    assert server.sent == [f"/a/{name}"]


def test_wrong_hash_is_refused(server, tmp_path):
    server.files["/net-00000000.pth"] = b"weights"
    with pytest.raises(RuntimeError, match="invalid hash value"):
        downloaded(server.url("/net-00000000.pth"), tmp_path, False)
    assert not (tmp_path / "net-00000000.pth").exists()


def test_file_that_was_put_into_the_cache_by_hand_serves_without_a_network(tmp_path, caplog):
    (tmp_path / "best.pth").write_bytes(b"by hand")
    assert downloaded("http://127.0.0.1:9/best.pth", tmp_path, False).read_bytes() == b"by hand"
    assert "does not answer" in caplog.text


@pytest.mark.parametrize("climb", ["..%2F..%2F", "%2e%2e/%2e%2e%2f", "%2Ftmp%2f"])
def test_escapes_in_an_address_do_not_lead_out_of_the_cache(server, tmp_path, climb):
    cache = tmp_path / "a/b/cache"
    for name in (f"escaped-{hashlib.sha256(b'weights').hexdigest()[:8]}.pth", "escaped.pth"):
        server.files[f"/a/{climb}{name}"] = b"weights"
        path = downloaded(server.url(f"/a/{climb}{name}"), cache, False)
        assert path.name == name and path.resolve().is_relative_to(cache)
    assert [str(path) for path in tmp_path.rglob("*.pth") if not path.is_relative_to(cache)] == []


@pytest.mark.parametrize("ending", ["..", "%2e%2e", "x%2f..", "..%5c..%5cescaped.pth", "a%00.pth"])
def test_address_that_ends_in_no_name_of_a_file(tmp_path, ending):
    with pytest.raises(ValueError, match="cannot be the name of a file in the cache"):
        downloaded(f"http://127.0.0.1:9/a/{ending}", tmp_path, False)
    assert list(tmp_path.iterdir()) == []
