from __future__ import annotations

from pathlib import Path

import pytest

from eng.registry import MODELS, Registry, check

pytestmark = pytest.mark.usefixtures("parts")


def test_name_defined_in_a_file_that_nobody_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "nets.py").write_text("class MyNet(Base):\n    pass\n")
    [finding] = check(dict(type="MyNet"), MODELS)
    assert "nets.py defines it; import it first: custom_imports = dict(imports=['parts.nets'])" in finding.message


def test_name_in_the_package_of_its_scope_is_found_without_importing_it(package) -> None:
    package("mmz", nets="raise OSError('imported')\nclass ZNet:\n    pass\n")
    Registry("model", parent=MODELS, scope="mmz")
    [finding] = check(dict(type="mmz.ZNet"), MODELS)
    assert "imports=['mmz.nets']" in finding.message
