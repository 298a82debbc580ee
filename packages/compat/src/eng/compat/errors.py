from __future__ import annotations


class AlreadyImportedError(ImportError):
    """The real mmengine was imported before the alias was installed.

    Args:
        file: where the imported package lies.
    """

    def __init__(self, file: str) -> None:
        super().__init__(
            f"mmengine was imported already, from {file}: classes of two engines would mix. "
            "Call eng.compat.install() before anything imports mmengine, or run the script by "
            "`python -m eng.compat SCRIPT.py`."
        )
        self.file = file
