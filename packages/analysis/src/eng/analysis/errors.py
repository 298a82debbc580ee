from __future__ import annotations


class AnalysisError(ValueError):
    """A model cannot be analysed with the given input; the message says why and what to do."""


class FormulaError(AnalysisError):
    """The function that computes an operator's cost (a formula of eng or a handle of the user) raised an exception.

    Args:
        operator: name of the operator, such as ``"aten::addmm"``; if `reason` is not passed, the complete message.
        reason: message of the exception.
    """

    def __init__(self, operator: str, reason: str | None = None) -> None:
        super().__init__(operator if reason is None else f"{operator}: its formula failed: {reason}")
        self.operator = operator
