"""A headless browser over the DevTools pipe: no driver, no port, no network."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-extensions", "--no-first-run", "--hide-scrollbars", "--remote-debugging-pipe",
)  # fmt: skip
_SECONDS = 60


def find_browser() -> str | None:
    """The path of a Chromium, None where there is none."""
    return next((path for path in map(shutil.which, _NAMES) if path), None)


class Browser:
    """One browser with one page. Commands go to file descriptor 3 and come back on 4."""

    def __init__(self, program: str) -> None:
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        command_read, self._write = os.pipe()
        self._read, answer_write = os.pipe()

        def connect() -> None:
            commands, answers = os.dup(command_read), os.dup(answer_write)
            os.dup2(commands, 3)
            os.dup2(answers, 4)

        self._process = subprocess.Popen(
            [program, *_FLAGS, f"--user-data-dir={self._profile.name}", "about:blank"],
            preexec_fn=connect, close_fds=False,  # noqa: PLW1509 - the pipe's two numbers are fixed
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        os.close(command_read)
        os.close(answer_write)
        self._answers = os.fdopen(self._read, "rb", buffering=0)
        self._unread = b""
        self._number = 0
        self._session = ""
        targets = self.call("Target.getTargets")["targetInfos"]
        page = next(t["targetId"] for t in targets if t["type"] == "page")
        attached = self.call("Target.attachToTarget", targetId=page, flatten=True)
        self._session = attached["sessionId"]
        self.call("Page.enable")

    def __enter__(self) -> Browser:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        os.close(self._write)
        self._process.terminate()
        try:
            self._process.wait(_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._answers.close()
        self._profile.cleanup()

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """A DevTools command and its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                result: dict[str, Any] = answer["result"]
                return result

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._unread:
            piece = self._answers.read(1 << 16)
            if not piece:
                raise RuntimeError("the browser has gone away")
            self._unread += piece
        message, _, self._unread = self._unread.partition(b"\0")
        answer: dict[str, Any] = json.loads(message)
        return answer

    def _wait_for(self, event: str) -> None:
        while self._next().get("method") != event:
            pass

    def open(self, page: Path, width: int, height: int, dark: bool) -> None:
        """Load a file as seen through a window of this size in CSS pixels."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=width < 600,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Page.navigate", url=page.resolve().as_uri())
        self._wait_for("Page.loadEventFired")

    def evaluate(self, script: str) -> Any:
        """The value of a JavaScript expression in the page."""
        result = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        if "exceptionDetails" in result:
            raise RuntimeError(result["exceptionDetails"]["text"])
        return result["result"].get("value")

    def screenshot(self, full: bool = False) -> bytes:
        """A PNG of the window, or of the whole page."""
        data = self.call("Page.captureScreenshot", captureBeyondViewport=full)["data"]
        return base64.b64decode(data)


@contextmanager
def browser() -> Iterator[Browser]:
    program = find_browser()
    if program is None:
        raise FileNotFoundError("no Chromium found; on Debian: apt install chromium")
    with Browser(program) as opened:
        yield opened
