"""Derived layers, their pages, and a headless browser that looks at them."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gradwright.codegen.derivation import Derivation, derive, derive_all
from gradwright.codegen.network import derive_network
from gradwright.codegen.optimizer import OptimizerDerivation, derive_optimizer
from gradwright.codegen.report import render_reports
from gradwright.codegen.report.network import render_network
from gradwright.composition import compose
from gradwright.derivations import activations, linear, losses, normalisation, optimizers, softmax
from gradwright.specification import LayerSpecification, Specification

RESULTS: dict[str, Any] = {
    "P0": "ok",
    "P1": "proved",
    "P2": {"sizes": ["1x1", "2x3"], "status": "exact", "error_probability": 3e-16},
    "P3": {"sizes": ["2x3"], "status": "equal"},
    "P4": {"numpy": {"float64": 3.1e-16, "float32_ulp": 2.0}},
    "P5": {
        "cases": [{"name": "N = 0", "promise": "an empty gradient", "passed": True}],
        "passed": 1,
        "total": 1,
    },
    "mutants": {
        "killed": 2, "total": 2, "killed_by_proof": 2, "killed_exactly": 2,
        "list": [{"name": "sign", "description": "the sign of a term is flipped"}],
    },
}  # fmt: skip
SOURCES = {
    "numpy": 'def forward(X):\n    """<b> & co."""\n',
    "cpp": "template <class T> void f();\n",
}


@pytest.fixture(scope="session")
def results() -> dict[str, Any]:
    return RESULTS


@pytest.fixture(scope="session")
def layers() -> dict[str, Derivation]:
    """One layer of each kind by name."""
    made = [linear.linear, softmax.softmax, activations.gelu, activations.leaky_relu]
    found = [derive(layer) for layer in [*made, normalisation.batchnorm]]
    found += derive_all(losses.softmax_cross_entropy)
    return {derivation.name: derivation for derivation in found}


@pytest.fixture(scope="session")
def optimizer() -> OptimizerDerivation:
    return derive_optimizer(optimizers.adam)


@pytest.fixture(scope="session")
def network_texts(optimizer: OptimizerDerivation) -> dict[str, str]:
    """The pages of a small network."""
    layers = (LayerSpecification(4, 3, "relu"), LayerSpecification(3, 2))
    specification = Specification(layers, "half_squared_error", optimizer="adam")
    found = derive_network(compose(specification), "network", "A small network.")
    return render_network(found, specification, optimizer, 5)


@pytest.fixture(scope="session")
def texts(
    layers: dict[str, Derivation], optimizer: OptimizerDerivation, network_texts: dict[str, str]
) -> dict[str, str]:
    subjects = [*layers.values(), optimizer]
    items = [(subject, RESULTS, SOURCES) for subject in subjects]
    return render_reports(items, [("network", "A small network.")]) | network_texts


@pytest.fixture(scope="session")
def folder(texts: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reports as files."""
    path = tmp_path_factory.mktemp("reports")
    for name, text in texts.items():
        (path / name).write_text(text, encoding="utf-8")
    return path


_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-extensions", "--no-first-run", "--remote-debugging-pipe",
)  # fmt: skip
# The browser reads its commands from descriptor 3 and writes to 4; the shell puts them there.
_LAUNCH = 'exec "$@" 3<&{read} 4>&{write}'
_SECONDS = 60


class Browser:
    """A Chromium with one page over the DevTools pipe: no driver, no port, no network."""

    def __init__(self, program: str) -> None:
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        read, self._commands = os.pipe()
        answers, write = os.pipe()
        script = _LAUNCH.format(read=read, write=write)
        profile = f"--user-data-dir={self._profile.name}"
        self._process = subprocess.Popen(
            ["/bin/bash", "-c", script, "browser", program, *_FLAGS, profile, "about:blank"],
            pass_fds=(read, write), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(read)
        os.close(write)
        self._answers = os.fdopen(answers, "rb", buffering=0)
        self._unread = b""
        self._number = 0
        self._session: dict[str, str] = {}
        targets = self.call("Target.getTargets")["targetInfos"]
        page = next(t["targetId"] for t in targets if t["type"] == "page")
        attached = self.call("Target.attachToTarget", targetId=page, flatten=True)
        self._session = {"sessionId": attached["sessionId"]}
        self.call("Page.enable")

    def close(self) -> None:
        os.close(self._commands)
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
        message = {"id": self._number, "method": method, "params": parameters, **self._session}
        os.write(self._commands, json.dumps(message).encode() + b"\0")
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

    def open(self, page: Path, width: int, dark: bool) -> None:
        """Load a file in a window of this width in CSS pixels, every fold unfolded."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=800, deviceScaleFactor=1, mobile=width < 600,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Page.navigate", url=page.resolve().as_uri())
        while self._next().get("method") != "Page.loadEventFired":
            pass
        self.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")

    def evaluate(self, script: str) -> Any:
        """The value of a JavaScript expression in the page."""
        result = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        if "exceptionDetails" in result:
            raise RuntimeError(result["exceptionDetails"]["text"])
        return result["result"].get("value")

    def screenshot(self) -> bytes:
        """A PNG of the window."""
        return base64.b64decode(self.call("Page.captureScreenshot")["data"])


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    program = next((path for path in map(shutil.which, _BROWSERS) if path), None)
    if program is None:
        assert not os.environ.get("CI"), "no Chromium found; on Debian: apt install chromium"
        pytest.skip("no Chromium found; on Debian: apt install chromium")
    opened = Browser(program)
    yield opened
    opened.close()
