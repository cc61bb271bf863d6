"""Ctrl-C between two batches: a step is finished before the interrupt is raised."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType


@contextlib.contextmanager
def between_batches() -> Iterator[Callable[[], None]]:
    """Hold SIGINT back; the yielded function raises KeyboardInterrupt if one came meanwhile.

    One that came after its last call is raised at the end.
    Outside the main thread, or where SIGINT is not Python's own, nothing is changed.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield lambda: None
        return
    came = False

    def remember(_number: int, _frame: FrameType | None) -> None:
        nonlocal came
        came = True

    def pause() -> None:
        if came:
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, remember)
    try:
        yield pause
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    pause()
