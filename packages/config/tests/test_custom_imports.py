from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from config_parts import Write

from eng.config import Config


class TestCustomImports:
    def test_imported(self, tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.syspath_prepend(str(tmp_path))
        path = write(
            eng_test_mod_py="import os\nos.environ['ENG_TEST_SEEN'] = 'yes'",
            a_py="custom_imports = dict(imports=['eng_test_mod'])",
        )
        monkeypatch.setenv("ENG_TEST_SEEN", "no")
        Config.fromfile(path, import_custom_modules=False)
        Config.fromfile(path, trust=False)
        assert os.environ["ENG_TEST_SEEN"] == "no"
        Config.fromfile(path)
        assert os.environ["ENG_TEST_SEEN"] == "yes"

    def test_a_failure_names_the_module(self, write: Write) -> None:
        with pytest.raises(ImportError, match=r"Failed to import custom module 'eng_test_none'.*PYTHONPATH"):
            Config.fromfile(write(a_py="custom_imports = dict(imports='eng_test_none')"))

    def test_a_failure_inside_the_module_is_not_about_the_path(self, write: Write) -> None:
        path = write(eng_test_inner_py="import eng_test_none", a_py="custom_imports = dict(imports='eng_test_inner')")
        with pytest.raises(
            ImportError, match=r"'eng_test_inner' \(No module named 'eng_test_none'\); it is there, and one"
        ) as caught:
            Config.fromfile(path)
        assert "PYTHONPATH" not in str(caught.value)

    @pytest.mark.parametrize("key", ["custom_imports.imports", "custom_imports"])
    def test_overrides_import_too(self, key: str, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
        path = write(
            eng_test_mod2_py="import os\nos.environ['ENG_TEST_SEEN'] = 'yes'",
            a_py="x = 1\ncustom_imports = dict(imports=[], allow_failed_imports=False)",
        )
        monkeypatch.setenv("ENG_TEST_SEEN", "no")
        monkeypatch.delitem(sys.modules, "eng_test_mod2", raising=False)
        given = ["eng_test_mod2"] if "." in key else dict(imports=["eng_test_mod2"])
        Config.fromfile(path, trust=False).merge_from_dict({key: given})
        Config.fromfile(path, import_custom_modules=False).merge_from_dict({key: given})
        assert os.environ["ENG_TEST_SEEN"] == "no"
        cfg = Config.fromfile(path)
        with pytest.raises(ImportError, match="Failed to import custom module 'eng_test_none'"):
            cfg.merge_from_dict({"custom_imports.imports": ["eng_test_none"], "x": 2})
        assert cfg.x == 1
        cfg.merge_from_dict({key: given})
        assert os.environ["ENG_TEST_SEEN"] == "yes"

    def test_a_failure_can_be_allowed(self, write: Write, caplog: pytest.LogCaptureFixture) -> None:
        Config.fromfile(write(a_py="custom_imports = dict(imports='eng_test_none', allow_failed_imports=True)"))
        assert "eng_test_none failed" in caplog.text

    @pytest.mark.parametrize("value", ["3", "dict(imports=[3])"])
    def test_wrong_settings(self, value: str, write: Write) -> None:
        with pytest.raises(TypeError, match="custom_imports"):
            Config.fromfile(write(a_py=f"custom_imports = {value}"))
