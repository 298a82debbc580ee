from __future__ import annotations

import pytest
from config_parts import Write

import eng.config._data
import eng.config._safe
import eng.config._weight
from eng.config import Config, ConfigFileError


@pytest.fixture
def small_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit that is reached at once: what counts is that each way to grow meets it."""
    for module in (eng.config._data, eng.config._safe, eng.config._weight):
        monkeypatch.setattr(module, "MAX_WEIGHT", 10_000)


@pytest.mark.parametrize(
    "code",
    [
        "x = text.replace('a', text)", "x = text + text", "x = text\nx += text", "x = f'{text}{text}'", "x = [text, text]",
        "x = [*many, *many]", "x = dict(a=text, **dict(b=text))", "x = {'a': text, 'b': text}", "x = str([text] * 9)",
        "x = '{0}{0}'.format(text)", "x = '{}{}'.format(text, text)", "x = '%s%s' % (text, text)", "x = text.join([text, 'a', 'a'])",
        "many.extend(many)", "d = dict()\nd['a'] = text\nd['b'] = text", "d = dict(a=text)\nd.b = text", "d = dict(a=text)\nd.update(b=text)",
        "many.append(many)", "d = dict()\nd['d'] = d", "x = [1, 2]\n" + "x = [x, x]\n" * 40, "y = text.upper()\nz = text.lower()\n",
    ],
)  # fmt: skip
def test_nothing_grows_beyond_the_limit(code: str, write: Write, small_limit: None) -> None:
    path = write(a_py=f"text = 'a' * 6000\nmany = [1] * 6000\n{code}\n")
    with pytest.raises(ConfigFileError, match=r"^a.py:\d+: so large a result is not allowed"):
        Config.fromfile(path.name, trust=False)


def test_aliases_of_yaml_are_bounded(write: Write, small_limit: None) -> None:
    laughs = "a: &a [x, x]\n" + "".join(f"b{i}: &b{i} [*{'a' if i == 0 else f'b{i - 1}'}, *a]\n" for i in range(9))
    assert len(Config.fromfile(write(a_yaml=laughs))) == 10
    for text in ("a: &a [*a]", "a: &a {b: *a}", "a: &a [" + "x, " * 3000 + "]\nb: [*a, *a, *a]"):
        with pytest.raises(ConfigFileError, match=r"a.yaml: too large for a config: its aliases \(\*name\)"):
            Config.fromfile(write(a_yaml=text).name)
