from __future__ import annotations

import eng.fileio as fileio


def test_a_handler_of_your_own(tmp_path, registries):
    @fileio.register_handler(["txt", "log"])
    class TxtHandler(fileio.BaseFileHandler):
        def load_from_fileobj(self, file):
            return file.read()

        def dump_to_fileobj(self, obj, file):
            file.write(str(obj))

        def dump_to_str(self, obj, **kwargs):
            return str(obj)

    for name in (tmp_path / "a.log", "memory://handlers/a.txt"):
        fileio.dump("h\u00e4", name)
        assert fileio.load(name) == "h\u00e4"
