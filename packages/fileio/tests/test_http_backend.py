from __future__ import annotations

import json
import pickle
import urllib.request

import pytest

import eng.fileio as fileio
from eng.fileio.errors import (
    HTTPStatusError,
    RemoteFileNotFoundError,
    TransferTimeoutError,
    TruncatedTransferError,
)

pytest.importorskip("requests")
pytestmark = pytest.mark.timeout(60)
CONTENT = bytes(range(256)) * 8192  # 2 MiB
QUICK = {"backoff_s": 0.01}


@pytest.fixture
def server(http_server):
    address, root = http_server
    (root / "f.bin").write_bytes(CONTENT)
    return address


def requests_for(server, path):
    with urllib.request.urlopen(f"{server}/requests", timeout=10) as answer:
        return json.load(answer).get(path, 0)


def test_404_says_so_at_once(server):
    with pytest.raises(RemoteFileNotFoundError, match=r"absent\.bin: the server answered 404: no such file") as caught:
        fileio.get(f"{server}/files/absent.bin")
    assert caught.value.status == 404
    assert requests_for(server, "/files/absent.bin") == 1
    assert pickle.loads(pickle.dumps(caught.value)).status == 404


def test_500_is_tried_again_and_then_named(server):
    with pytest.raises(HTTPStatusError, match="the server answered 500"):
        fileio.get(f"{server}/status/500", QUICK | {"retries": 2})
    assert requests_for(server, "/status/500") == 3


def test_403_is_not_tried_again(server):
    with pytest.raises(HTTPStatusError, match="the server answered 403"):
        fileio.get(f"{server}/status/403", QUICK)
    assert requests_for(server, "/status/403") == 1
    with pytest.raises(HTTPStatusError, match="403"):
        fileio.exists(f"{server}/status/403")


def test_a_server_that_recovers_is_waited_for(server):
    assert fileio.get(f"{server}/flaky/2/f.bin", QUICK) == CONTENT


def test_a_timeout_is_named(server):
    args = QUICK | {"read_timeout_s": 0.2, "retries": 1}
    with pytest.raises(TransferTimeoutError, match=r"no answer within 0\.2 s"):
        fileio.get(f"{server}/slow/2/f.bin", args)


@pytest.mark.parametrize("kind", ["cutonce", "plain"], ids=["with ranges", "without ranges"])
def test_a_cut_transfer_is_completed(server, kind):
    assert fileio.get(f"{server}/{kind}/f.bin", QUICK) == CONTENT
    assert requests_for(server, f"/{kind}/f.bin") == 2


@pytest.mark.parametrize(
    ("kind", "requests", "content"),
    [
        ("dated", 2, CONTENT),
        ("unversioned", 2, CONTENT),
        ("changed", 3, CONTENT[::-1]),
        ("shifted", 3, CONTENT),
    ],
)
def test_cut_transfer_is_never_spliced_with_other_bytes(server, kind, requests, content):
    """The second request continues the first only where both are of one version and start where the first ended."""
    assert fileio.get(f"{server}/{kind}/f.bin", QUICK) == content
    assert requests_for(server, f"/{kind}/f.bin") == requests


def test_a_part_that_nobody_asked_for_is_not_the_file(server):
    """Content-Range tells the size of the file where Content-Length is that of the part."""
    assert fileio.get(f"{server}/parts/f.bin", QUICK) == CONTENT
    assert requests_for(server, "/parts/f.bin") == 2
    with pytest.raises(TruncatedTransferError, match=f"stopped after {len(CONTENT) // 2} of {len(CONTENT)} bytes"):
        fileio.get(f"{server}/parts/f.bin", QUICK | {"retries": 0})


def test_a_length_that_is_no_number_is_unknown(server):
    assert fileio.get(f"{server}/oddlength/f.bin", QUICK) == CONTENT


def test_a_server_that_stops_in_the_middle_leaves_nothing(server, tmp_path):
    with pytest.raises(TruncatedTransferError, match=f"stopped after {len(CONTENT) // 2} of {len(CONTENT)} bytes") as e:
        fileio.copyfile_to_local(f"{server}/cut/f.bin", tmp_path / "f.bin", QUICK | {"retries": 0})
    assert (e.value.received_bytes, e.value.expected_bytes) == (len(CONTENT) // 2, len(CONTENT))
    assert not list(tmp_path.iterdir())


def test_a_refused_connection_is_named():
    with pytest.raises(ConnectionError, match="cannot connect"):
        fileio.get("http://127.0.0.1:9/x", QUICK | {"retries": 0})


def test_a_range_is_asked_for(server):
    backend = fileio.HTTPBackend()
    assert backend.get(f"{server}/files/f.bin", start=1000, stop=1010) == CONTENT[1000:1010]
    assert backend.get(f"{server}/files/f.bin", start=len(CONTENT) - 5) == CONTENT[-5:]
    fileio.get(f"{server}/plain/f.bin", QUICK)  # this address cuts its first transfer
    with pytest.raises(HTTPStatusError, match="ignores Range"):
        backend.get(f"{server}/plain/f.bin", start=5)


def test_writing_says_that_it_cannot(server):
    with pytest.raises(fileio.UnsupportedOperationError, match="HTTPBackend cannot put"):
        fileio.put(b"x", f"{server}/files/x")


def test_load_over_http(server, http_server):
    (http_server[1] / "bad.json").write_text('{"a":\n 1,}')
    # Python 3.13 points at the trailing comma, older ones behind it.
    with pytest.raises(fileio.ParseError, match=r"bad\.json:2:[34]: malformed JSON"):
        fileio.load(f"{server}/files/bad.json")
