from __future__ import annotations

from pathlib import Path

import click
import pytest

from eng.cli import _help, main

PAGES = {
    "how-to/early-stopping.md": "# Stop early\n\nA hook ends a run. See [Hooks](../hooks.md).\n\n```python\na[0](b.md)\n```\n",
    "how-to/early-stopping.zh.md": "# 提前停止\n\n## 何时停止 { #when-it-stops }\n",
    "hooks.md": "# Hooks\n\n## Gradient clipping\n\nearly stopping, early stopping\n",
    "api/hooks.md": "# eng.hooks\n",
    "troubleshooting.md": "# Troubleshooting by error\n\n| error | what happened | what to do |\n| --- | --- | --- |\n"
    "| `LossError`, `NoLossError` | no loss | return one: [Hooks](hooks.md) |\n",
}


@pytest.fixture
def pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in PAGES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.setattr(_help, "FOLDERS", (tmp_path / "absent", tmp_path))
    return tmp_path


def test_without_a_topic_all_pages_are_listed(pages: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "hooks                  Hooks",
        "how-to/early-stopping  Stop early",
        "troubleshooting        Troubleshooting by error",
    ]


@pytest.mark.parametrize(
    ("topic", "page"),
    [
        ("early stopping", "how-to/early-stopping.md"),  # the name of the page, before a page that says it more often
        ("Early-Stopping", "how-to/early-stopping.md"),
        ("stop early", "how-to/early-stopping.md"),  # the title
        ("how-to/early-stopping", "how-to/early-stopping.md"),
        ("gradient clipping", "hooks.md"),  # a heading
        ("ends a run", "how-to/early-stopping.md"),  # the text
        ("how to clip my gradient", "hooks.md"),  # no page has these words in this order
    ],
)
def test_page_of_a_topic(pages: Path, topic: str, page: str) -> None:
    assert _help.find_page(pages, topic) == pages / page


def test_page_is_printed_with_topics_for_links_and_code_as_it_is(
    pages: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["help", "early", "stopping", "--lang", "en"]) == 0
    printed = capsys.readouterr().out
    assert "See Hooks (eng help hooks)." in printed
    assert "a[0](b.md)" in printed


def test_chinese_page(pages: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help", "--lang", "zh", "stop", "early"]) == 0
    assert capsys.readouterr().out == "# 提前停止\n\n## 何时停止\n\n"
    assert _help.translated(pages / "hooks.md", "zh") == pages / "hooks.md"


def test_error_class(pages: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help", "eng.model.NoLossError"]) == 0
    assert capsys.readouterr().out == (
        "NoLossError\n\nWhat happened: no loss\nWhat to do: return one: Hooks (eng help hooks)\nMore: eng help hooks\n"
    )


@pytest.mark.parametrize(
    ("topic", "message"),
    [
        ("NoLosError", "NoLosError is no error class that the pages of eng explain; did you mean NoLossError"),
        ("hoks", "no page is about 'hoks'; did you mean hooks?"),
        ("quaternions", "no page is about 'quaternions'; eng help lists all topics"),
    ],
)
def test_unknown_topic(pages: Path, capsys: pytest.CaptureFixture[str], topic: str, message: str) -> None:
    assert main(["help", topic]) == 2
    assert message in capsys.readouterr().err


def test_installation_without_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_help, "FOLDERS", (tmp_path,))
    with pytest.raises(click.ClickException, match="has no pages in .* install the wheel again"):
        _help.pages_folder()


def test_message_of_an_error_names_its_help(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the real pages: a base is explained where the class itself is not."""
    (tmp_path / "a.py").write_text("_base_ = 'b.py'\n", encoding="utf-8")
    assert main(["config", "show", str(tmp_path / "a.py")]) == 2
    assert "eng help BaseFileNotFoundError explains it)" in capsys.readouterr().err
