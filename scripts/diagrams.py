"""Draws the Mermaid blocks of docs/ as SVG files in docs/diagrams/, which the site shows without a network.

``nox -s diagrams`` runs this after a Mermaid block has changed. The name of a file is the hash of its block, so a drawing
cannot belong to an earlier text: ``mkdocs build --strict`` and tests/docs/test_site_sources.py find a missing one.
Needs npm (for the library) and Chromium (which runs the library).
"""

from __future__ import annotations

import hashlib
import html
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"
DRAWINGS = DOCS / "diagrams"
LIBRARY = "mermaid@11.12.1"
BLOCK = re.compile(r"^```mermaid\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PAGE = """<!doctype html><meta charset="utf-8"><body>
%s
<script src="mermaid.min.js"></script>
<script>
mermaid.initialize({startOnLoad: false, theme: "neutral", htmlLabels: false, fontFamily: "sans-serif",
  flowchart: {htmlLabels: false, padding: 18, wrappingWidth: 260}});
(async () => {
  for (const block of document.querySelectorAll("pre")) {
    block.innerHTML = (await mermaid.render("diagram-" + block.id, block.textContent)).svg;
    block.textContent = new XMLSerializer().serializeToString(block.firstChild);
  }
  document.body.dataset.done = "yes";
})();
</script></body>"""


def drawing_name(block: str) -> str:
    """The name, without an ending, of the drawing of a block."""
    return hashlib.sha256(block.strip().encode()).hexdigest()[:12]


def blocks(folder: Path = DOCS) -> dict[str, str]:
    """All Mermaid blocks of the pages, by the names of their drawings."""
    pages = sorted(folder.rglob("*.md"))
    return {drawing_name(block): block for page in pages for block in BLOCK.findall(page.read_text(encoding="utf-8"))}


def render(sources: dict[str, str]) -> dict[str, str]:
    """SVG of each block, by name."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("diagrams are drawn in Chromium, which is not on PATH: apt-get install chromium")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run(
            ["npm", "pack", "--silent", LIBRARY], cwd=folder, check=True, timeout=300, stdout=subprocess.DEVNULL
        )
        with tarfile.open(next(folder.glob("mermaid-*.tgz"))) as archive:
            archive.extract("package/dist/mermaid.min.js", folder, filter="data")
        shutil.move(folder / "package/dist/mermaid.min.js", folder)
        listed = "\n".join(f'<pre id="{key}">{html.escape(text)}</pre>' for key, text in sources.items())
        (folder / "page.html").write_text(PAGE % listed, encoding="utf-8")
        options = ("--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=60000", "--dump-dom")
        call = [chromium, *options, str(folder / "page.html")]
        dom = subprocess.run(call, capture_output=True, text=True, check=True, timeout=300).stdout
    if 'data-done="yes"' not in dom:
        sys.exit("Mermaid could not draw all blocks; open the page in a browser to see its message")
    drawings = re.findall(r'<pre id="(\w+)">(.*?)</pre>', dom, re.DOTALL)
    return {key: re.sub(r"(\.\d\d)\d+", r"\1", html.unescape(drawing)) for key, drawing in drawings}


def main() -> None:
    sources = blocks()
    DRAWINGS.mkdir(exist_ok=True)
    for path in DRAWINGS.glob("*.svg"):
        if path.stem not in sources:
            path.unlink()
    missing = {key: text for key, text in sources.items() if not (DRAWINGS / f"{key}.svg").is_file()}
    for key, drawing in (render(missing) if missing else {}).items():
        (DRAWINGS / f"{key}.svg").write_text(drawing + "\n", encoding="utf-8")
    print(f"{len(sources)} diagrams, {len(missing)} of them drawn now")


if __name__ == "__main__":
    main()
