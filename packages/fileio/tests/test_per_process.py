from __future__ import annotations

import threading

from eng.fileio._per_process import PerProcess


def test_threads_make_one_client():
    made, holder = [], PerProcess()
    threads = [threading.Thread(target=holder.get, args=(lambda: made.append(1) or len(made),)) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [1]
