"""The texts of the reports: well formed, safe, the same everywhere, and honest."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree as ET

import jinja2
import pytest

from gradwright.codegen.derivation import Derivation
from gradwright.codegen.optimizer import OptimizerDerivation
from gradwright.codegen.report import render_reports, report_data, to_markdown
from gradwright.codegen.report.pages import _pages
from gradwright.codegen.stabilise import Stabilised

_VOID = {"meta", "link", "br"}


class _Checker(HTMLParser):
    """Elements close in the order they were opened; ids are unique; text and links are kept."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in ("href", "src"):
                self.links.append(value or "")
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def _checked(page: str) -> _Checker:
    checker = _Checker()
    checker.feed(page)
    checker.close()
    assert checker.open == []
    return checker


def _html(texts: dict[str, str]) -> dict[str, str]:
    return {name: text for name, text in texts.items() if name.endswith(".html")}


def test_every_layer_has_a_page_a_markdown_file_and_data(
    layers: dict[str, Derivation], texts: dict[str, str]
) -> None:
    wanted = {f"{name}.{end}" for name in [*layers, "adam", "network"]
              for end in ("html", "md", "json")}  # fmt: skip
    assert set(texts) == wanted | {"index.html", "primitives.html", "style.css"}


def test_pages_are_well_formed_and_their_links_lead_somewhere(texts: dict[str, str]) -> None:
    for page in _html(texts).values():
        checker = _checked(page)
        assert len(checker.ids) == len(set(checker.ids))
        assert set(checker.links) <= set(texts)
        assert "script" not in checker.seen
        assert checker.seen.count("h1") == 1


def test_pages_contain_no_raw_tex(texts: dict[str, str]) -> None:
    for page in _html(texts).values():
        text = _checked(re.sub(r"<pre.*?</pre>", "", page, flags=re.DOTALL)).text
        assert "$" not in text
        assert not re.search(r"\\[a-zA-Z]+", text)


def test_formulas_are_xml(texts: dict[str, str]) -> None:
    formulas = [f for p in _html(texts).values() for f in re.findall(r"<math.*?</math>", p)]
    assert len(formulas) > 100
    for formula in formulas:
        ET.fromstring(formula)  # noqa: S314 - our own text


def test_an_undefined_name_in_a_template_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError):
        _pages().from_string("{{ nothing }}").render()
    with pytest.raises(jinja2.UndefinedError):
        _pages().get_template("report/layer.html.j2").render()


def test_text_of_a_script_cannot_become_markup(layers: dict[str, Derivation]) -> None:
    hostile = "<script>alert(1)</script> & \"quotes\" {{ 7 * 7 }}"
    layer = layers["softmax"]
    program = replace(layer.program, title=hostile, details=hostile, conventions=(hostile,))
    stable = Stabilised(layer.stable.forms, (hostile,))
    verification = {
        "P1": hostile,
        "P2": {"sizes": [hostile], "status": hostile},
        "P5": {"passed": 0, "total": 1,
               "cases": [{"name": hostile, "promise": hostile, "passed": False}]},
        "mutants": {"killed": 0, "total": 1,
                    "list": [{"name": hostile, "description": hostile}]},
    }  # fmt: skip
    changed = replace(layer, program=program, stable=stable)
    made = render_reports([(changed, verification, {hostile: hostile})])
    for page in _html(made).values():
        assert "script" not in _checked(page).seen
    assert not re.search(r"(?<!\\)<script", made["softmax.md"])
    assert "{{ 7 * 7 }}" in made["softmax.html"]


def test_reports_are_the_same_for_every_hash_seed() -> None:
    program = (
        "import hashlib\n"
        "from gradwright.codegen.derivation import derive\n"
        "from gradwright.codegen.optimizer import derive_optimizer\n"
        "from gradwright.codegen.report import render_reports\n"
        "from gradwright.derivations.activations import gelu\n"
        "from gradwright.derivations.optimizers import adam\n"
        "from gradwright.derivations.softmax import softmax\n"
        "found = [derive(softmax), derive(gelu), derive_optimizer(adam)]\n"
        "made = render_reports([(d, {}, {'numpy': 'x = 1'}) for d in found])\n"
        "print(hashlib.sha256(repr(made).encode()).hexdigest())\n"
    )
    digests = set()
    for seed in ("1", "2024"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run([sys.executable, "-c", program], env=environment, check=True,
                              capture_output=True, text=True)  # fmt: skip
        digests.add(done.stdout)
    assert len(digests) == 1


def test_reports_name_no_folder_of_this_machine(
    layers: dict[str, Derivation], texts: dict[str, str]
) -> None:
    folder = os.path.dirname(os.path.dirname(layers["softmax"].program.source))
    assert not [name for name, text in texts.items() if folder in text]


def test_index_groups_layers_by_script_in_order(texts: dict[str, str]) -> None:
    text = _checked(texts["index.html"]).text
    places = [text.index(f"derivations/{s}.py") for s in ("linear", "softmax", "losses")]
    assert places == sorted(places)
    assert "8 of 8 proved" in " ".join(text.split())


def test_a_result_that_is_missing_is_shown_as_not_run(layers: dict[str, Derivation]) -> None:
    data = report_data(layers["linear"], {})
    states = {item["state"] for key in ("proved", "checked") for item in data["guarantees"][key]}
    assert states == {"not run"}
    assert "not run" in render_reports([(layers["linear"], {}, {})])["index.html"]


@pytest.mark.parametrize(
    ("level", "result"),
    [
        ("P0", "differ"),
        ("P1", "unproved"),
        ("P2", {"sizes": ["2x3"], "status": "differs"}),
        ("P3", {"sizes": ["2x3"], "status": "differs"}),
        ("P4", {"numpy": {"float64": float("nan")}}),
        ("P4", {"numpy": {"float64": float("inf")}}),
        ("P5", {"passed": 1, "total": 2, "cases": []}),
        ("P6", {"killed": 1, "total": 2}),
        ("P6", {"killed": 2, "total": 2, "killed_exactly": 1}),
    ],
)
def test_a_result_that_failed_is_shown_as_failed(
    layers: dict[str, Derivation], results: dict[str, Any], level: str, result: object
) -> None:
    changed = {**results, "mutants" if level == "P6" else level: result}
    data = report_data(layers["linear"], changed)
    items = data["guarantees"]["proved"] + data["guarantees"]["checked"]
    assert {i["state"] for i in items if i["level"] == level} == {"failed"}
    assert {i["state"] for i in items if i["level"] != level} == {"held"}


def test_promises_are_counted_once_and_those_that_cannot_be_kept_are_named(
    layers: dict[str, Derivation], results: dict[str, Any]
) -> None:
    cases = [
        {"name": name, "promise": "p", "backend": backend, "passed": True, "detail": ""}
        for name, backend in (("NaN", "numpy"), ("NaN", "cpp"), ("types", "numpy"))
    ]
    limits = [{**cases[0], "name": "limits", "passed": False, "detail": "relu(inf) is 0"}]
    edges = {"cases": cases, "passed": 3, "total": 3, "limitations": limits}
    data = report_data(layers["linear"], {**results, "P5": edges})
    text = next(i["text"] for i in data["guarantees"]["checked"] if i["level"] == "P5")
    assert text == (
        "2 of 2 promises at the edges are kept: 2 checked in NumPy and 1 checked in C++; "
        "not kept in floating point: limits."
    )


def test_a_fact_is_listed_as_assumed_and_named_in_the_claim(layers: dict[str, Derivation]) -> None:
    lists = report_data(layers["softmax_cross_entropy_normalised"], {"P1": "proved"})["guarantees"]
    assert any("the rows of T sum to 1" in item["text"] for item in lists["assumed"])
    assert any("given the fact normalised" in item["text"] for item in lists["proved"])
    general = report_data(layers["softmax_cross_entropy"], {"P1": "proved"})["guarantees"]
    assert not any("fact" in item["text"] for item in general["proved"] + general["assumed"])


def test_measured_errors_appear_only_as_bounds(
    layers: dict[str, Derivation], results: dict[str, Any]
) -> None:
    almost = {"numpy": {"float64": 9.9e-15, "float32_ulp": 3.999}}
    first = render_reports([(layers["linear"], results, {})])
    second = render_reports([(layers["linear"], {**results, "P4": almost}, {})])
    assert first == second


def test_an_optimizer_shows_its_rule_and_its_theorems(
    optimizer: OptimizerDerivation, texts: dict[str, str]
) -> None:
    page = _checked(texts["adam.html"])
    assert {theorem.name for theorem in optimizer.theorems} <= set(page.text.split())
    assert "Update" in page.text
    assert "Reverse sweep" not in page.text
    data = json.loads(texts["adam.json"])
    assert data["gradients"] == []
    assert [t["name"] for t in data["theorems"]] == [t.name for t in optimizer.theorems]
    claims = [item for item in data["guarantees"]["proved"] if item["level"] == "P1"]
    assert len(claims) == len(optimizer.theorems)


def test_data_is_json_and_survives_it(
    layers: dict[str, Derivation], texts: dict[str, str], results: dict[str, Any]
) -> None:
    assert json.loads(texts["batchnorm.json"]) == report_data(layers["batchnorm"], results)


def test_markdown_shows_equations_with_their_shapes(
    layers: dict[str, Derivation], results: dict[str, Any]
) -> None:
    lines = to_markdown(report_data(layers["softmax"], results)).splitlines()
    assert any(re.match(r"DZ = Y \* \(DY - rows_sum\(Y \* DY\)\) +\(N, K\)$", l) for l in lines)


def test_long_derivations_are_folded(texts: dict[str, str]) -> None:
    assert "steps of the reverse sweep" in texts["batchnorm.html"]
    assert "steps of the reverse sweep" not in texts["linear.html"]


def test_primitives_page_lists_every_primitive_with_its_verdict(texts: dict[str, str]) -> None:
    from gradwright.codegen.primitives import PRIMITIVES, prove_rules

    checker = _checked(texts["primitives.html"])
    assert set(PRIMITIVES) <= set(checker.ids)
    assert texts["primitives.html"].count("state proved") == len(prove_rules())
