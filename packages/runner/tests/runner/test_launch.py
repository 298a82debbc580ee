"""What the command line says about machines, and from where a run goes on that a launcher started again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from eng.logging.starts import START_FILE, claim_start
from eng.runner import _commands
from eng.runner.launch import Meeting, after_restart, restarts_so_far, unfinished_starts


@pytest.mark.parametrize(
    ("nnodes", "endpoint", "expected"),
    [
        (None, None, (1, 1, "localhost:0", "")),
        ("1", None, (1, 1, "localhost:0", "")),
        ("2", "host0:29500", (2, 2, "host0:29500", "host0:29500")),
        ("1:4", "[::1]:29500", (1, 4, "[::1]:29500", "[::1]:29500")),
    ],
)
def test_machines_are_a_number_or_a_range(
    nnodes: str | None, endpoint: str | None, expected: tuple[int, int, str, str]
) -> None:
    meeting = Meeting.of(nnodes, endpoint, None, None)
    assert (meeting.min_nodes, meeting.max_nodes, meeting.endpoint, meeting.run_id) == expected


def test_a_job_may_have_a_name_and_times() -> None:
    meeting = Meeting.of("2", "127.0.0.1:29500", "job7", "last_call_timeout=10, keep_alive_interval=2")
    assert (meeting.run_id, meeting.is_local) == ("job7", True)
    assert meeting.options == {"last_call_timeout": "10", "keep_alive_interval": "2"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("0", "a:1", None, None), r"--nnodes takes a number of machines or MIN:MAX, such as 2 or 1:4, got '0'"),
        (("4:2", "a:1", None, None), r"got '4:2'"),
        (("two", "a:1", None, None), r"got 'two'"),
        (("1:", "a:1", None, None), r"got '1:'"),
        (("2", None, None, None), r"--nnodes above 1 needs --rdzv HOST:PORT"),
        (("2", "host0", None, None), r"--rdzv takes HOST:PORT, such as host0:29500, got 'host0'"),
        (("2", "a:1", None, "fast"), r"--rdzv-conf takes KEY=VALUE,\.\.\..*got 'fast'"),
    ],
)
def test_options_that_name_no_job_are_refused(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Meeting.of(*arguments)


@pytest.mark.parametrize("name", ["TORCHELASTIC_RESTART_COUNT", "SLURM_RESTART_COUNT"])
def test_the_agent_and_slurm_count_restarts(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert after_restart(False, "weights.pth", str(tmp_path)) == (False, "weights.pth")
    monkeypatch.setenv(name, "2")
    assert restarts_so_far() == 2
    monkeypatch.setenv({"S": "TORCHELASTIC_RESTART_COUNT", "T": "SLURM_RESTART_COUNT"}[name[0]], "")
    assert restarts_so_far() == 2
    assert after_restart(False, "weights.pth", str(tmp_path)) == (False, "weights.pth")  # there is no checkpoint


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A work dir with the start of another process of the job ``seven``."""
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "seven")
    start = tmp_path / claim_start(tmp_path, "20260101_000000")
    facts = json.loads((start / START_FILE).read_text())
    assert facts["job"] == "seven"
    (start / START_FILE).write_text(json.dumps({**facts, "pid": facts["pid"] + 1}))
    return tmp_path


def test_a_node_that_joins_knows_the_earlier_starts_of_its_job(job: Path) -> None:
    own = job / claim_start(job, "20260101_000001")
    assert unfinished_starts(str(job), str(own)) == 1


def test_a_job_that_reached_its_end_begins_anew(job: Path) -> None:
    (job / "20260101_000000" / "end.json").write_text(json.dumps({"status": "done"}, indent=1))
    assert unfinished_starts(str(job), None) == 0


@pytest.mark.parametrize("name", ["eight", "none", ""])
def test_starts_of_other_jobs_do_not_count(job: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", name)
    assert unfinished_starts(str(job), None) == 0


def test_a_second_run_of_one_process_is_no_restart(job: Path) -> None:
    first = claim_start(job, "20260101_000001")
    second = claim_start(job, "20260101_000002")
    assert first != second
    assert unfinished_starts(str(job), str(job / second)) == 1  # the other process alone


@pytest.mark.parametrize("gone", ["0:0", "00000000-0000-0000-0000-000000000000:7"])
def test_a_container_that_starts_again_has_the_same_number_and_is_a_restart(job: Path, gone: str) -> None:
    """Process 1 of a container on the same host name: host and number are those of the start that was lost."""
    lost = job / claim_start(job, "20260101_000001")
    facts = json.loads((lost / START_FILE).read_text())
    (lost / START_FILE).write_text(json.dumps({**facts, "started": gone}))
    own = job / claim_start(job, "20260101_000002")
    assert unfinished_starts(str(job), str(own)) == 2


@pytest.mark.parametrize(
    "command", [_commands.train, _commands.val, _commands.test_command], ids=["train", "val", "test"]
)
@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--max-restarts", "3"], "--max-restarts would do nothing"),
        (["--rdzv-id", "job", "--rdzv-conf", "timeout=3"], "--rdzv-id and --rdzv-conf would do nothing"),
    ],
)
def test_options_of_processes_that_nobody_starts(command: Any, words: list[str], named: str) -> None:
    done = CliRunner().invoke(command, ["absent.py", *words])
    assert done.exit_code == 2
    said = " ".join(done.output.replace("│", " ").split())
    assert named in said
    assert "add --nproc N, or --nnodes N --rdzv HOST:PORT" in said
