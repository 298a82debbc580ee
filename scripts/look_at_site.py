"""Opens every page of the built site in Chromium at two widths and reports what a reader could not see.

``nox -s look`` runs this after ``nox -s docs``: pages wider than the window, tables and code that are cut off instead of
scrolling, and requests to other servers. Pictures of some pages go to the folder that is the second argument.
"""

from __future__ import annotations

import functools
import html
import http.server
import json
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

WIDTHS = (1280, 390)
PICTURED = ("", "start/fifteen-minutes/", "tutorials/image-folder/", "how-to/debugging/", "api/runner/", "reference/")
CHECK = "look.html"
PAGE = """<!doctype html><meta charset="utf-8"><body><pre id="result"></pre><script>
const pages = %s, widths = %s, problems = [];
const frame = document.createElement("iframe");
frame.style.height = "2000px";
document.body.append(frame);
const load = address => new Promise(done => { frame.onload = done; frame.src = address; });
function hidden(element) {  // cut off: wider than its box, and no box around it scrolls
  for (let box = element; box; box = box.parentElement) {
    const overflow = frame.contentWindow.getComputedStyle(box).overflowX;
    if (overflow === "auto" || overflow === "scroll") return false;
    if (box.scrollWidth > box.clientWidth + 1 && overflow === "hidden") return true;
  }
  return false;
}
(async () => {
  for (const width of widths) {
    frame.style.width = width + "px";
    for (const page of pages) {
      await load(page);
      const root = frame.contentDocument.documentElement;
      if (root.scrollWidth > width) problems.push(`${page} at ${width}: ${root.scrollWidth} pixels wide`);
      for (const part of root.querySelectorAll("article table, article pre, article figure, article img"))
        if (hidden(part)) problems.push(`${page} at ${width}: cut off: ${part.textContent.trim().slice(0, 60)}`);
      for (const entry of frame.contentWindow.performance.getEntriesByType("resource"))
        if (!entry.name.startsWith(location.origin)) problems.push(`${page} asks ${entry.name}`);
    }
  }
  document.getElementById("result").textContent = JSON.stringify({problems, looked: pages.length * widths.length});
  document.body.dataset.done = "yes";
})();
</script></body>"""


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serves files without a line for each request."""

    def log_message(self, *_: object) -> None:
        """Prints nothing."""


class QuietServer(http.server.ThreadingHTTPServer):
    """Prints no traceback for a request that Chromium gave up when it went to the next page."""

    def handle_error(self, *_: object) -> None:
        """Prints nothing."""


def chromium(*options: str) -> str:
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        sys.exit("this looks at the site in Chromium, which is not on PATH: apt-get install chromium")
    call = [program, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", *options]
    return subprocess.run(call, capture_output=True, text=True, check=True, timeout=600).stdout


def main() -> None:
    site, pictures = Path(sys.argv[1]), Path(sys.argv[2])
    pages = sorted(
        f"/{path.parent.relative_to(site).as_posix()}/".replace("/./", "/") for path in site.rglob("index.html")
    )
    (site / CHECK).write_text(PAGE % (json.dumps(pages), json.dumps(WIDTHS)), encoding="utf-8")
    handler = functools.partial(QuietHandler, directory=str(site))
    server = QuietServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/"
    dom = chromium("--virtual-time-budget=500000", "--dump-dom", address + CHECK)
    (site / CHECK).unlink()
    if 'data-done="yes"' not in dom:
        sys.exit("Chromium did not get through all pages")
    result = json.loads(html.unescape(re.search(r'<pre id="result">(.*?)</pre>', dom, re.DOTALL)[1]))
    pictures.mkdir(parents=True, exist_ok=True)
    for page in PICTURED:
        for width in WIDTHS:
            file = pictures / f"{page.strip('/').replace('/', '-') or 'index'}-{width}.png"
            chromium(
                f"--window-size={width},2000", "--virtual-time-budget=4000", f"--screenshot={file}", address + page
            )
    print(f"{result['looked']} views of {len(pages)} pages, pictures in {pictures}", *result["problems"], sep="\n")
    sys.exit(1 if result["problems"] else 0)


if __name__ == "__main__":
    main()
