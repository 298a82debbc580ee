"""How ranks find one another where the port or the port file is not rank 0's."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from dist_parts import rank_1

import eng.dist as dist
from eng.dist._rendezvous import open_store

SHORT = timedelta(seconds=1)


def keep_silent(connection: socket.socket) -> None:
    connection.recv(1024)
    time.sleep(60)


def hang_up(connection: socket.socket) -> None:
    connection.close()


def answer_as_a_web_server(connection: socket.socket) -> None:
    connection.recv(1024)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    connection.close()


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[socket.socket], None]], int]]:
    """Starts a listener that treats each connection in one way; gives its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def accept(treat: Callable[[socket.socket], None]) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=lambda: _quietly(treat, connection), daemon=True).start()

    def start(treat: Callable[[socket.socket], None]) -> int:
        threading.Thread(target=accept, args=(treat,), daemon=True).start()
        return int(listener.getsockname()[1])

    yield start
    listener.close()


def _quietly(treat: Callable[[socket.socket], None], connection: socket.socket) -> None:
    try:
        treat(connection)
    except OSError:
        return


@pytest.mark.parametrize("treat", [keep_silent, hang_up, answer_as_a_web_server])
@pytest.mark.timeout(60)
def test_foreign_listener_ends_the_rank_within_its_timeout(serve, treat) -> None:
    port, started = serve(treat), time.monotonic()
    with pytest.raises(
        dist.CollectiveTimeoutError, match=f"rank 0 did not answer at 127.0.0.1:{port} within 1 s"
    ) as caught:
        open_store(rank_1(port), SHORT)
    assert time.monotonic() - started < 10
    assert caught.value.missing == (0,)


def test_rank_0_that_never_starts_is_named() -> None:
    port = dist.find_free_port()
    with pytest.raises(dist.CollectiveTimeoutError, match=f"did not answer at 127.0.0.1:{port} .*did rank 0 start"):
        open_store(rank_1(port), SHORT)
