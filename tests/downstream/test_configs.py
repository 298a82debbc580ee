"""Every config that the libraries ship has the content that MMEngine 0.10.7 gives it."""

from __future__ import annotations

import json
from pathlib import Path

import libraries
import pytest
from conftest import DIFFERENCES, REGRESSIONS, golden, last_json, run_script

QUICK_COUNT = 60


def expected_digests(package: str) -> dict[str, str]:
    """Digest by config; the name of an exception, after `!`, where the reference cannot load the config."""
    folders = golden("configs", f"{package}.json")["digests"]
    return {
        f"{folder}/{file}".lstrip("/"): digest for folder, files in folders.items() for file, digest in files.items()
    }


def selected(library: libraries.Library) -> list[Path]:
    folder = library.root / library.configs
    always = [folder / name for name in REGRESSIONS["configs"].get(library.package, ())]
    return sorted({*libraries.sample(library.config_files(), QUICK_COUNT), *always})


@pytest.mark.timeout(1200)
def test_configs_have_the_content_that_the_reference_gives_them(library, tmp_path, record_property) -> None:
    files = selected(library)
    listing = tmp_path / "configs.txt"
    listing.write_text("\n".join(map(str, files)), encoding="utf-8")
    result = last_json(run_script("digest_configs.py", str(listing), "--pickle", timeout=1100))
    folder = library.root / library.configs
    digests = {Path(path).relative_to(folder).as_posix(): digest for path, digest in result["digests"].items()}
    expected = expected_digests(library.package)
    loadable = {name: digest for name, digest in expected.items() if name in digests and not digest.startswith("!")}
    different = {name: digests[name] for name, digest in loadable.items() if digests[name] != digest}
    for name, value in {
        "library": library.package,
        "configs_equal": len(loadable) - len(different),
        "configs": len(loadable),
        "seconds": json.dumps(result["seconds"]),
    }.items():
        record_property(name, value)
    reasons = DIFFERENCES["configs"].get(library.package, {})
    assert {name: text for name, text in different.items() if name not in reasons} == {}
    # The reference stops at configs whose classes and functions no pickle can hold.
    unpicklable = {Path(path).relative_to(folder).as_posix(): error for path, error in result["unpicklable"].items()}
    assert {name: error for name, error in unpicklable.items() if name in loadable} == {}
    if libraries.all_of_it():
        assert set(digests) == set(expected)
        assert set(reasons) <= set(different), "differences.json lists configs whose content is equal"
