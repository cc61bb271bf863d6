"""The report of a whole network: what it says, and that it says what was found."""

from __future__ import annotations

import json
import re


def test_the_page_has_every_part_of_the_algorithm(network_texts: dict[str, str]) -> None:
    titles = re.findall(r"<h2[^>]*>([^<]*)</h2>", network_texts["network.html"])
    assert titles == ["Shapes", "Forward", "Backward", "Update", "Memory",
                      "Operations of a training step", "What is guaranteed"]  # fmt: skip


def test_the_data_hold_equations_counts_and_the_proof(network_texts: dict[str, str]) -> None:
    data = json.loads(network_texts["network.json"])
    backward = [e["text"] for step in data["backward"] for e in step["equations"]]
    assert backward[:4] == [
        "DZ2 = scale * DL * R2", "DA1 = DZ2 @ W2", "DW2 = DZ2^T @ A1", "Db2 = columns_sum(DZ2)",
    ]  # fmt: skip
    rows = {row["name"]: row["count"] for row in data["memory"]["training"]}
    assert (rows["weights"], rows["biases"]) == (4 * 3 + 3 * 2, 5)
    products = data["operations"]["forward"]["multiplications"]
    assert products["formula"].startswith("N H0 H1 + N H1 H2")
    assert products["example"] >= 5 * (4 * 3 + 3 * 2)
    assert [item["state"] for item in data["guarantees"]] == ["proved", "proved", "checked"]
    assert re.fullmatch("[0-9a-f]{64}", data["proof"])


def test_the_markdown_shows_the_update_and_the_memory(network_texts: dict[str, str]) -> None:
    text = network_texts["network.md"]
    assert "For theta in W1, b1, W2, b2 and g = Dtheta" in text
    assert "| states of adam | m, v of each parameter | 46 | 184 |" in text


def test_the_index_links_to_the_network(texts: dict[str, str]) -> None:
    assert '<a href="network.html">network</a>' in texts["index.html"]
