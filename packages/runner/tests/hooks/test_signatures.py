"""A hook whose method cannot be called is refused when it is registered."""

from __future__ import annotations

import pytest

import eng.hooks
from eng.hooks import Hook
from eng.hooks._signatures import HookSignatureError, check_options, check_signatures
from eng.hooks.hook import POINTS


def hook_with(name: str, method):
    return type("Mine", (Hook,), {name: method})()


def misspelt(self, runner, batchidx, data_batch=None, outputs=None): ...
def without_metrics(self, runner): ...
def with_more(self, runner, metrics, thing): ...
def with_all(self, runner, **kwargs): ...
def with_anything(self, *args, **kwargs): ...
def with_other_name(self, run, batch_idx, data_batch, outputs, *, extra=None): ...
def without_mode(self, runner, batch_idx, data_batch=None): ...


WRONG = {
    "a misspelt argument": ("after_train_iter", misspelt, r"must take 'batch_idx': .*did you mean 'batch_idx' by 'batchidx'\?"),
    "a missing argument": ("after_val_epoch", without_metrics, r"must take 'metrics': the runner calls it as \(runner, metrics=...\)"),
    "one too many": ("after_test_epoch", with_more, "must not need 'thing'"),
    "of the method behind": ("_before_iter", without_mode, "must take 'mode'"),
}  # fmt: skip
RIGHT = {
    "keywords": ("after_train_iter", with_all), "anything": ("after_val_epoch", with_anything),
    "another name for the runner": ("after_train_iter", with_other_name),
}  # fmt: skip


@pytest.mark.parametrize(("name", "method", "message"), WRONG.values(), ids=WRONG)
def test_a_wrong_signature_is_an_error_at_the_start(make_runner, name, method, message) -> None:
    with pytest.raises(HookSignatureError, match=rf"Mine\.{name} {message}"):
        make_runner(custom_hooks=[hook_with(name, method)])


@pytest.mark.parametrize(("name", "method"), RIGHT.values(), ids=RIGHT)
def test_other_ways_to_take_the_arguments(name, method) -> None:
    check_signatures(hook_with(name, method))


def test_a_method_set_on_the_object_is_looked_at_too() -> None:
    hook = Hook()
    hook.after_train = lambda: None
    with pytest.raises(
        HookSignatureError, match=r"Hook\.after_train cannot be called: the runner calls it as \(runner\)"
    ):
        check_signatures(hook)


def test_hooks_of_eng_pass() -> None:
    kinds = [kind for kind in vars(eng.hooks).values() if isinstance(kind, type) and issubclass(kind, Hook)]
    assert len(kinds) > 10
    for kind in kinds:
        check_signatures(object.__new__(kind))


@pytest.mark.parametrize("point", POINTS)
def test_what_the_check_expects_is_what_the_runner_gives(point, make_runner, parts) -> None:
    """Each point is called in a run with the keywords that the base class names."""
    given: list[set[str]] = []
    hook = hook_with(point, lambda self, runner, **kwargs: given.append(set(kwargs)))
    testing = {f"test{name[3:]}": part for name, part in parts.validation(acc=[1]).items()}
    runner = make_runner(custom_hooks=[hook], **parts.validation(acc=[1]), **testing)
    runner.train()
    runner.test()
    if point == "after_load_checkpoint":
        runner.load_checkpoint(f"{runner.work_dir}/epoch_1.pth")
    code = getattr(Hook, point).__code__
    assert {frozenset(keys) for keys in given} == {frozenset(code.co_varnames[2 : code.co_argcount])}


class TestOptions:
    def test_an_option_that_nobody_takes_names_the_near_argument_of_the_hook(self) -> None:
        def save(out_dir, filename, *, writer=None): ...

        hook = eng.hooks.CheckpointHook(save_bst="auto")
        with pytest.raises(TypeError, match="CheckpointHook takes no argument 'save_bst'; did you mean 'save_best'?"):
            check_options(hook, hook.args, save)
        check_options(hook, {"writer": None}, save)

    def test_a_function_that_takes_anything_takes_it(self) -> None:
        hook = eng.hooks.CheckpointHook(compress=True)
        check_options(hook, hook.args, lambda out_dir, **kwargs: None)
