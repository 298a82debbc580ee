from __future__ import annotations

import json

from visualization_parts import steps
from writers_local_parts import Disk

from eng.visualization.writers._line_file import LineFile


def test_what_waits_has_a_bound(tmp_path, monkeypatch, caplog) -> None:
    disk = Disk(monkeypatch)
    file = LineFile(tmp_path / "a.json", max_waiting_bytes=100)
    disk.room = 0
    for step in range(50):
        file.append(json.dumps({"step": step}) + "\n")
    assert len(file._waiting) <= 100
    assert caplog.text.count("further lines are lost") == 1
    disk.room = float("inf")
    file.append('{"step": 99}\n')
    written = steps(tmp_path / "a.json")
    assert written[-1] == 99
    assert written[:-1] == list(range(len(written) - 1))
    assert f"{file.num_lost} lines were lost" in caplog.text
