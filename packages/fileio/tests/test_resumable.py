from __future__ import annotations

import errno
import logging
import os

import pytest
from cutting_proxy import CuttingProxy

from eng.fileio import get_file_backend
from eng.fileio.backends import _resumable, fsspec_backend
from eng.fileio.backends._resumable import Patience, is_break

MIB = 1 << 20
DATA = os.urandom(12 * MIB)

pytestmark = pytest.mark.timeout(200)


@pytest.fixture
def proxy(s3_options):
    proxy = CuttingProxy(int(s3_options["endpoint_url"].rpartition(":")[2]))
    yield proxy
    proxy.close()


@pytest.fixture
def backend(proxy, s3_options, monkeypatch):
    """S3 behind the proxy; clients do not try again by themselves, which would take minutes."""
    import s3fs

    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)
    monkeypatch.setattr(fsspec_backend, "PART_BYTES", 5 * MIB)
    monkeypatch.setattr(fsspec_backend, "PARALLEL_PARTS", 1)
    options = {**s3_options, "endpoint_url": f"http://127.0.0.1:{proxy.port}", "skip_instance_cache": True}
    config = {"retries": {"max_attempts": 0}, "connect_timeout": 20, "read_timeout": 20}
    return get_file_backend("s3://bucket/a", backend_args={"backend": "fsspec", **options, "config_kwargs": config})


@pytest.fixture
def clock(monkeypatch):
    """A clock that moves when somebody sleeps; `on_sleep` says what happens meanwhile."""

    class Clock:
        now, pauses = 0.0, ()
        on_sleep = staticmethod(lambda: None)

        def monotonic(self):
            return self.now

        def sleep(self, seconds):
            self.now += seconds
            self.pauses += (seconds,)
            self.on_sleep()

    clock = Clock()
    monkeypatch.setattr(_resumable, "time", clock)
    return clock


def unfinished_uploads(options):
    import s3fs

    return s3fs.S3FileSystem(**options).call_s3("list_multipart_uploads", Bucket="bucket").get("Uploads", [])


def test_parts_that_arrived_are_not_sent_again(proxy, backend, clock, s3_options, caplog):
    caplog.set_level(logging.WARNING, "eng")
    backend.exists("s3://bucket/a")  # connected
    proxy.cut_after(8 * MIB)
    clock.on_sleep = proxy.mend
    backend.put_resumable(DATA, "s3://bucket/large.pth")
    assert proxy.parts == [1, 2, 2, 3]
    assert clock.pauses == (1.0,)
    assert "s3://bucket/large.pth: the storage is out of reach" in caplog.text
    assert get_file_backend("s3://", backend_args=s3_options).get("s3://bucket/large.pth") == DATA
    assert unfinished_uploads(s3_options) == []


def test_a_small_file_is_sent_again(proxy, backend, clock, s3_options):
    backend.exists("s3://bucket/a")
    proxy.cut_after(MIB)
    clock.on_sleep = proxy.mend
    backend.put_resumable(DATA[: 3 * MIB], "s3://bucket/small.pth")
    assert len(clock.pauses) == 1
    assert get_file_backend("s3://", backend_args=s3_options).get("s3://bucket/small.pth") == DATA[: 3 * MIB]


def test_a_storage_that_stays_away_is_given_up(proxy, backend, clock, s3_options):
    backend.exists("s3://bucket/a")
    proxy.cut_after(8 * MIB)
    with pytest.raises(Exception, match=r"127\.0\.0\.1|[Cc]onnect|closed"):
        backend.put_resumable(DATA, "s3://bucket/lost.pth")
    assert sum(clock.pauses) == pytest.approx(600)
    assert clock.pauses[:6] == (1, 2, 4, 8, 16, 30)
    assert not get_file_backend("s3://", backend_args=s3_options).exists("s3://bucket/lost.pth")


def test_a_refusal_is_not_repeated(clock):
    with pytest.raises(FileNotFoundError, match="no such bucket"):
        Patience(600, "s3://x").repeat(lambda: (_ for _ in ()).throw(FileNotFoundError("no such bucket")))
    assert clock.pauses == ()


def bad_gateway():
    """What s3fs raises for an answer of a proxy."""
    answer = Exception()
    answer.response = {"ResponseMetadata": {"HTTPStatusCode": 502}}
    error = OSError(errno.EIO, "Bad Gateway")
    error.__cause__ = answer
    return error


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (ConnectionRefusedError(), True),
        (TimeoutError(), True),
        (OSError(errno.EBUSY, "SlowDown"), True),
        (OSError(errno.EIO, "an answer that s3fs does not know"), False),
        (bad_gateway(), True),
        (OSError(28, "No space left on device"), False),
        (PermissionError(13, "Forbidden"), False),
        (ValueError(), False),
        (type("EndpointConnectionError", (type("HTTPClientError", (Exception,), {}),), {})(), True),
    ],
    ids=["refused", "timeout", "slow-down", "unknown", "bad-gateway", "full", "forbidden", "value", "botocore"],
)
def test_what_counts_as_a_break(error, answer):
    assert is_break(error) is answer


def test_other_storages_get_the_whole_file(tmp_path):
    backend = get_file_backend("memory://a", backend_args={"backend": "fsspec", "patience_s": 1})
    backend.put_resumable(b"hello", "memory://resumable/a.txt")
    assert backend.get("memory://resumable/a.txt") == b"hello"
