"""The memory table predicts what training takes."""

import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from gradwright import MLP
from gradwright.memory import memory_table

NETWORKS = {
    "plain": ([784, 256, 128, 10], 64, {}),
    "adam": ([784, 256, 128, 10], 64, {"optimizer": "adam"}),
    "normalised and dropped": (
        [300, 400, 300, 10], 256, {"optimizer": "adam", "batchnorm": True, "dropout": 0.5}
    ),
    "wide batch": ([20, 300, 300, 5], 2000, {"optimizer": "momentum", "dtype": "float64"}),
}  # fmt: skip


@pytest.mark.parametrize("what", NETWORKS)
def test_peak_memory_of_training_is_within_ten_percent_of_the_table(what):
    sizes, batch, options = NETWORKS[what]
    activations = ["relu"] * (len(sizes) - 2) + ["softmax"]
    dtype = options.get("dtype", "float32")
    X = np.random.default_rng(0).normal(size=(2 * batch, sizes[0])).astype(dtype)
    y = np.arange(2 * batch) % sizes[-1]
    small = MLP([2, 2, 2], ["relu", "softmax"], backend="numpy", **options)
    small.fit(X[:4, :2], y[:4] % 2, epochs=1, verbose=False)  # imports count for nobody
    tracemalloc.start()
    try:
        net = MLP(sizes, activations, backend="numpy", **options)
        tracemalloc.reset_peak()
        net.fit(X, y, epochs=2, batch_size=batch, verbose=False)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak == pytest.approx(memory_table(net.specification, batch).training_bytes, rel=0.1)


ENGINE = {
    "plain": "[400, 500, 400, 10], ['relu', 'relu', 'softmax']",
    "adam": "[400, 500, 400, 10], ['gelu', 'tanh', 'softmax'], optimizer='adam'",
    "normalised and dropped": "[400, 500, 400, 10], ['tanh', 'relu', 'softmax'], batchnorm=True, dropout=0.5",
    "clipped": "[400, 500, 400, 10], ['relu', 'relu', 'softmax'], clip_norm=1.0",
    "sparse": "[400, 5000, 4000, 10], ['gelu', 'relu', 'softmax'], density=[0.2, 0.05, 1.0], dropout=0.1",
}  # fmt: skip
# Freed memory goes back to the system at once, so that what the process holds is what is in use.
_MEASURE = """
import os, re
import numpy as np
from gradwright import MLP
from gradwright.memory import memory_table

def status(what):
    return 1024 * int(re.search(what + r":\\s+(\\d+)", open("/proc/self/status").read())[1])

X = np.random.default_rng(0).normal(size=({batch}, 400)).astype(np.float32)
y = np.arange({batch}) % 10

def train(net):
    net.fit(X, y, epochs=1, batch_size={batch}, verbose=False)

train(MLP({network}))  # libraries and their buffers count for nobody
before = status("VmRSS")
net = MLP({network})
open("/proc/self/clear_refs", "w").write("5")
train(net)
table = memory_table(net.specification, {batch}, backend="cpp", threads=net.backend.threads)
print(status("VmHWM") - before, table.training_bytes)
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="reads Linux' account")
@pytest.mark.parametrize("what", ENGINE)
def test_peak_memory_of_the_engine_is_within_ten_percent_of_its_table(what: str) -> None:
    program = _MEASURE.format(batch=8000, network=ENGINE[what])
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "0"}
    found = subprocess.run(
        [sys.executable, "-c", program], env=environment, check=True, capture_output=True, text=True
    )
    peak, predicted = map(int, found.stdout.split())
    assert peak == pytest.approx(predicted, rel=0.1)
