"""A proxy in front of a server whose connections can be cut, at once or when some bytes have passed."""

from __future__ import annotations

import contextlib
import re
import socket
import threading


class CuttingProxy:
    """Passes bytes on to a port of this machine.

    Attributes:
        port: where it listens.
        parts: number of the part in each request that sends a part of a file to S3, in the order of their arrival.
        lost_answers: how many answers were cut by :meth:`lose_answer`.
    """

    def __init__(self, target: int) -> None:
        self.target, self.parts, self._remaining = target, [], None
        self._pairs, self._lock = [], threading.Lock()
        self._open = True
        self._unanswered, self._is_losing, self.lost_answers = None, False, 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut_after(self, size: int) -> None:
        """Ends all connections, and every later one, when that many further bytes have come from clients."""
        self._remaining = size

    def lose_answer(self, request: bytes) -> None:
        """Passes the next request that matches a pattern on, and ends all connections when its answer comes."""
        self._unanswered = request

    def mend(self) -> None:
        """Lets connections through again."""
        self._remaining, self._open = None, True

    def close(self) -> None:
        self._listener.close()
        self._cut()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if not self._open:
                    client.close()
                    continue
                server = socket.create_connection(("127.0.0.1", self.target))
                with self._lock:
                    self._pairs += [client, server]
                threading.Thread(target=self._pass, args=(client, server, True), daemon=True).start()
                threading.Thread(target=self._pass, args=(server, client, False), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, is_client: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                if is_client and not self._may_pass(data):
                    break
                if not is_client and self._is_losing:
                    self._is_losing = False
                    self.lost_answers += 1
                    self._cut()
                    break
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _may_pass(self, data: bytes) -> bool:
        with self._lock:
            self.parts += [int(number) for number in re.findall(rb"PUT [^ ]*partNumber=(\d+)", data)]
            if self._unanswered is not None and re.search(self._unanswered, data):
                self._unanswered, self._is_losing = None, True
            if self._remaining is None:
                return True
            self._remaining -= len(data)
            if self._remaining > 0:
                return True
            self._open = False
        self._cut()
        return False

    def _cut(self) -> None:
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for end in pairs:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
