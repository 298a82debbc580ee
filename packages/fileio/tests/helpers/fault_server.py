"""A file server over HTTP with ranges, and with faults on request. Arguments: port, folder.

/files/NAME          the file, with Range and ETag
/flaky/N/NAME        503 for the first N requests, then the file
/status/CODE         that status
/slow/SECONDS/NAME   the file after a pause
/cut/NAME            announces the whole file and closes after half of what was asked for, every time
/cutonce/NAME        the same on the first request only, then the file with ranges
/plain/NAME          cut on the first request; ranges are not known
/requests            how many requests came for each path so far, as JSON
"""

import json
import sys
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

ROOT = Path(sys.argv[2])
COUNTS: Counter = Counter()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = unquote(self.path)
        _, kind, *rest = path.split("/")
        if kind == "requests":
            return self.answer(200, json.dumps(COUNTS).encode())
        COUNTS[path] += 1
        if kind == "status":
            return self.answer(int(rest[0]), b"no")
        if kind == "flaky" and COUNTS[path] <= int(rest.pop(0)):
            return self.answer(503, b"later")
        if kind == "flaky" and rest[0].isdigit():
            rest.pop(0)
        if kind == "slow":
            time.sleep(float(rest.pop(0)))
        file = ROOT / "/".join(rest)
        if not file.is_file():
            return self.answer(404, b"missing")
        cut = kind == "cut" or (kind in ("cutonce", "plain") and COUNTS[path] == 1)
        self.send_file(file.read_bytes(), cut, ranges=kind != "plain")

    def send_file(self, content, cut, ranges):
        total, status, headers = len(content), 200, {"ETag": f'"{len(content)}"'}
        asked = self.headers.get("Range") if ranges else None
        if asked:
            first, _, last = asked.removeprefix("bytes=").partition("-")
            content = content[int(first) : int(last) + 1 if last else None]
            status, headers["Content-Range"] = 206, f"bytes {first}-{int(first) + len(content) - 1}/{total}"
        self.answer(status, content, headers, cut)

    def answer(self, status, content, headers=None, cut=False):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        self.wfile.write(content[: len(content) // 2] if cut else content)
        if cut:
            self.wfile.flush()
            self.close_connection = True


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
