from __future__ import annotations

import subprocess

import pytest

from eng.compat.utils import version_utils


# Taken from MMEngine 0.10.7: digit_version of each text.
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1.0.0rc1", (1, 0, 0, 0, -1, 1)),
        ("2.1.0+cu118", (2, 1, 0, 0, 0, 0)),
        ("0.10.7", (0, 10, 7, 0, 0, 0)),
        ("1.2.3.dev4", (1, 2, 3, 0, -4, 0)),
        ("1.0.post1", (1, 0, 0, 0, 1, 1)),
        ("1.0a2", (1, 0, 0, 0, -3, 2)),
        ("1.0b1", (1, 0, 0, 0, -2, 1)),
    ],
)
def test_digit_version(text, expected) -> None:
    assert version_utils.digit_version(text) == expected


def test_versions_compare_in_their_order() -> None:
    ordered = ["1.0.dev0", "1.0a1", "1.0b1", "1.0rc1", "1.0rc2", "1.0", "1.0.post1", "1.0.1", "1.1"]
    digits = [version_utils.digit_version(text) for text in ordered]
    assert digits == sorted(digits)


def test_no_version() -> None:
    with pytest.raises(ValueError, match="'latest' is no version"):
        version_utils.digit_version("latest")


def test_git_hash_of_a_repository_and_of_none(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert version_utils.get_git_hash("nothing") == "nothing"
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "x"], check=True)
    assert len(version_utils.get_git_hash()) == 40
    assert len(version_utils.get_git_hash(digits=7)) == 7
    with pytest.raises(TypeError, match="digits"):
        version_utils.get_git_hash(digits="7")
