"""A file server over HTTP with ranges, and with faults on request. Arguments: port, folder.

/files/NAME          the file, with Range and ETag
/flaky/N/NAME        503 for the first N requests, then the file
/status/CODE         that status
/slow/SECONDS/NAME   the file after a pause
/cut/NAME            announces the whole file and closes after half of what was asked for, every time
/cutonce/NAME        the same on the first request only, then the file with ranges
/plain/NAME          cut on the first request; ranges are not known
/unversioned/NAME    as cutonce, without ETag and Last-Modified
/dated/NAME          as cutonce, with Last-Modified and a weak ETag
/changed/NAME        cut on the first request; later ones send ranges of the file's bytes in reverse, whatever If-Range says
/shifted/NAME        cut on the first request; the second one sends a range that starts one byte too late
/parts/NAME          at most half of the file per request, as status 206, whether a range was asked for or not
/oddlength/NAME      a Content-Length that is no number
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
            self.answer(200, json.dumps(COUNTS).encode())
            return
        COUNTS[path] += 1
        if kind == "status":
            self.answer(int(rest[0]), b"no")
        elif kind == "flaky" and COUNTS[path] <= int(rest[0]):
            self.answer(503, b"later")
        else:
            if kind == "slow":
                time.sleep(float(rest[0]))
            names = rest[1:] if kind in ("slow", "flaky") else rest
            once = ("cutonce", "plain", "unversioned", "dated", "changed", "shifted")
            cut = kind == "cut" or (kind in once and COUNTS[path] == 1)
            self.send_file(ROOT / "/".join(names), cut, kind, count=COUNTS[path])

    def send_file(self, file, cut, kind, count):
        if not file.is_file():
            self.answer(404, b"missing")
            return
        content = file.read_bytes()
        total, status, headers = len(content), 200, {"ETag": f'"{len(content)}"'}
        if kind == "changed" and count > 1:
            content, headers = content[::-1], {"ETag": '"later"'}
        if kind == "unversioned":
            headers = {}
        if kind == "dated":
            headers = {"ETag": 'W/"1"', "Last-Modified": "Fri, 27 Nov 2026 00:00:00 GMT"}
        asked = self.headers.get("Range") if kind != "plain" else None
        if kind == "parts":
            asked = asked or "bytes=0-"
        if kind == "oddlength":
            headers = {"Content-Length": "all", "Connection": "close"}
        if asked:
            first, _, last = asked.removeprefix("bytes=").partition("-")
            first = int(first) + (kind == "shifted" and count == 2)
            content = content[int(first) : int(last) + 1 if last else None]
            content = content[: total // 2] if kind == "parts" else content
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
