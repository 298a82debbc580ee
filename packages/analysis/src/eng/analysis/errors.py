from __future__ import annotations


class AnalysisError(ValueError):
    """A model or an input that cannot be analysed; the message says why and what to do."""


class FormulaError(AnalysisError):
    """A formula, ours or a user's handle, that failed on an operator.

    Args:
        operator: name of the operator, such as ``"aten::addmm"``.
        reason: what went wrong. Without it, the first argument is the whole message.
    """

    def __init__(self, operator: str, reason: str | None = None) -> None:
        super().__init__(operator if reason is None else f"{operator}: its formula failed: {reason}")
        self.operator = operator
