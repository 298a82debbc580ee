from __future__ import annotations

import errno
import logging
import os
import signal
import threading

import pytest
from cutting_proxy import CuttingProxy

from eng.fileio import get_file_backend
from eng.fileio.backends import _resumable, fsspec_backend
from eng.fileio.backends._resumable import Patience, is_break, put_parts

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
    """A clock that moves when somebody waits; `on_sleep` says what happens meanwhile."""

    class Clock:
        now, pauses = 0.0, ()
        on_sleep = staticmethod(lambda: None)

        def monotonic(self):
            return self.now

        def wait(self, seconds):
            self.now += seconds
            self.pauses += (seconds,)
            self.on_sleep()

    clock = Clock()
    monkeypatch.setattr(_resumable, "time", clock)
    monkeypatch.setattr(Patience, "_wait", lambda patience, seconds: clock.wait(seconds))
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


@pytest.fixture
def forgetful(monkeypatch, s3_options):
    """Like MinIO, the storage does not find an upload once it is complete or removed; moto answers 200 or 500."""
    import s3fs

    call_s3 = s3fs.S3FileSystem.call_s3

    def call(fs, method, **request):
        if method == "complete_multipart_upload":
            known = {upload["UploadId"] for upload in unfinished_uploads(s3_options)}
            if request["UploadId"] not in known:
                raise FileNotFoundError("The specified upload does not exist")
        return call_s3(fs, method, **request)

    monkeypatch.setattr(s3fs.S3FileSystem, "call_s3", call)
    return call


@pytest.mark.parametrize("repeats_below", [False, True], ids=["by-eng", "by-s3fs"])
def test_a_completion_whose_answer_was_lost_is_a_success(
    proxy, backend, clock, s3_options, monkeypatch, forgetful, repeats_below
):
    """Whoever tries again: of a break that s3fs or botocore mended, nothing but the upload that is missing is seen."""

    def call_again(fs, method, **request):
        try:
            return forgetful(fs, method, **request)
        except Exception:
            return forgetful(fs, method, **request)

    if repeats_below:
        monkeypatch.setattr("s3fs.S3FileSystem.call_s3", call_again)
    backend.exists("s3://bucket/a")
    proxy.lose_answer(rb"POST \S*uploadId=")
    backend.put_resumable(DATA, f"s3://bucket/answered-{repeats_below}.pth")
    assert proxy.lost_answers == 1
    assert clock.pauses == (() if repeats_below else (1.0,))
    assert get_file_backend("s3://", backend_args=s3_options).get(f"s3://bucket/answered-{repeats_below}.pth") == DATA
    assert unfinished_uploads(s3_options) == []


@pytest.mark.parametrize("old", [None, b"\0" * len(DATA)], ids=["new", "replaced"])
def test_an_upload_that_somebody_removed_is_no_success(backend, clock, s3_options, monkeypatch, forgetful, old):
    """Where an older file of the same size, in as many parts, has the name, only the ETag tells that it is another."""
    address = f"s3://bucket/removed-{old is None}.pth"
    if old is not None:
        backend.put_resumable(old, address)
    complete = _resumable._complete

    def remove_and_complete(fs, target, *arguments):
        fs.call_s3("abort_multipart_upload", **target)
        complete(fs, target, *arguments)

    monkeypatch.setattr(_resumable, "_complete", remove_and_complete)
    with pytest.raises(FileNotFoundError, match="upload does not exist"):
        backend.put_resumable(DATA, address)
    reader = get_file_backend("s3://", backend_args=s3_options)
    assert (reader.get(address) if reader.exists(address) else None) == old


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


def test_patience_counts_from_the_first_break(clock):
    """A request that works for longer than the patience, and one after a success that lies as far back."""
    patience = Patience(600, "s3://x")
    for _ in range(2):
        breaks = [ConnectionResetError("one reset")]

        def request(breaks=breaks):
            clock.now += 660
            if breaks:
                raise breaks.pop()
            return "stored"

        assert patience.repeat(request) == "stored"
    assert clock.pauses == (1.0, 1.0)


class AwayStorage:
    """The S3 file system of a storage that takes no part; `on_part` is told of the tries for each part."""

    def __init__(self, on_part):
        self.on_part, self.methods = on_part, []

    def split_path(self, path):
        return (*path.split("/"), None)

    def call_s3(self, method, **request):
        self.methods.append(method)
        if method == "upload_part":
            self.on_part(request["PartNumber"])
            raise ConnectionResetError("out of reach")
        return {"UploadId": "1"}


@pytest.fixture
def ctrl_c_raises():
    """A shell has what it starts in the background ignore SIGINT."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c_raises")
def test_an_interrupt_ends_the_senders():
    barrier = threading.Barrier(4, action=lambda: os.kill(os.getpid(), signal.SIGINT))
    tried = set()

    def interrupt_once(number):
        if number not in tried:
            tried.add(number)
            barrier.wait()

    storage = AwayStorage(interrupt_once)
    patience = Patience(7200, "s3://bucket/a")
    with pytest.raises(KeyboardInterrupt, match=r"^$"):
        put_parts(storage, "bucket/a", b"1234", patience, 1, 4)
    assert storage.methods[-1] == "abort_multipart_upload"


def test_a_refused_part_ends_the_other_senders():
    def refuse_first(number):
        if number == 1:
            raise PermissionError("no more room for you")

    storage = AwayStorage(refuse_first)
    with pytest.raises(PermissionError, match="no more room for you"):
        put_parts(storage, "bucket/a", b"1234", Patience(7200, "s3://bucket/a"), 1, 4)
    assert storage.methods[-1] == "abort_multipart_upload"


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
        (type("TimeoutError", (Exception,), {})(), True),
    ],
    ids=[
        "refused",
        "timeout",
        "slow-down",
        "unknown",
        "bad-gateway",
        "full",
        "forbidden",
        "value",
        "botocore",
        "asyncio-3.10",
    ],
)
def test_what_counts_as_a_break(error, answer):
    assert is_break(error) is answer


def test_other_storages_get_the_whole_file(tmp_path):
    backend = get_file_backend("memory://a", backend_args={"backend": "fsspec", "patience_s": 1})
    backend.put_resumable(b"hello", "memory://resumable/a.txt")
    assert backend.get("memory://resumable/a.txt") == b"hello"
