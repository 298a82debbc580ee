from __future__ import annotations


class AnalysisError(ValueError):
    """A model cannot be analysed with the given input; the message says why and what to do."""


class FormulaError(AnalysisError):
    """The cost formula of an operator, of eng or a handle of the user, raised an exception.

    Args:
        operator: name of the operator, such as ``"aten::addmm"``; without `reason` the complete message.
        reason: message of the exception.
    """

    def __init__(self, operator: str, reason: str | None = None) -> None:
        super().__init__(operator if reason is None else f"{operator}: its formula failed: {reason}")
        self.operator = operator
