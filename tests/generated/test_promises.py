"""What a stranger's formula may not keep at the edges, the layers of the project do."""

import json
from pathlib import Path

import pytest

REPORTS = Path(__file__).parents[2] / "generated" / "reports"
LAYERS = sorted(p.stem for p in REPORTS.glob("*.json") if "P5" in json.loads(p.read_text()).get("verification", {}))


def test_the_layers_are_found() -> None:
    assert {"softmax", "batchnorm", "gelu", "softmax_cross_entropy"} <= set(LAYERS)


@pytest.mark.parametrize("name", LAYERS)
def test_every_promise_is_kept_without_limitation(name: str) -> None:
    edges = json.loads((REPORTS / f"{name}.json").read_text())["verification"]["P5"]
    assert edges.get("limitations", []) == []
    assert all(case["passed"] for case in edges["cases"])
