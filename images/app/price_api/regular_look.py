"""A thread that looks at something now and again, until it is stopped."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)


class RegularLook:
    """Calls `look` at once and then `seconds` after each end, in a thread of its own.

    What `look` raises is logged, and does not end the thread.
    """

    def __init__(self, name: str, look: Callable[[], None], seconds: float) -> None:
        self._name, self._look, self._seconds = name, look, seconds
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """End the thread, waiting at most `timeout` seconds for what it is doing."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _run(self) -> None:
        while True:
            try:
                self._look()
            except Exception:  # the thread must survive every error
                log.exception("the thread %s failed; it tries again in %g s", self._name, self._seconds)
            if self._ended.wait(self._seconds):
                return
