"""A layer's report as Markdown, for the terminal and for readers of the repository."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .data import report_data

_WIDTH = 72
_LISTS = {
    "proved": "Proved for all sizes", "checked": "Checked", "assumed": "Assumed",
}  # fmt: skip


def to_markdown(subject: Any) -> str:
    """Markdown of a derivation or of its `report_data`, equations with their shapes."""
    data = subject if isinstance(subject, Mapping) else report_data(subject)
    parts = [f"# {data['layer']}", plain(data["title"]), plain(data["details"])]
    title = "## Update" if data["kind"] == "optimizer" else "## Forward"
    parts += [title, _inputs(data["inputs"]), _equations(data["equations"])]
    if data["gradient_equations"]:
        parts += ["## Gradient", _equations(data["gradient_equations"])]
    if data["where"]:
        parts += ["where", _block(data["where"])]
    if data["derivation"]:
        parts += ["## Derivation", _derivation(data["derivation"])]
    if data["theorems"]:
        parts += ["## Theorems", *(_theorem(theorem) for theorem in data["theorems"])]
    parts += ["## What is guaranteed"]
    for key, title in _LISTS.items():
        if data["kind"] == "optimizer":
            title = title.replace("all sizes", "every step")
        items = [_item(item) for item in data["guarantees"][key]]
        parts += [f"### {title}", "\n".join(items) or "Nothing."]
    if data["conventions"]:
        parts += ["## Conventions", "\n".join(f"- {plain(c)}" for c in data["conventions"])]
    if data["cost"]:
        parts += ["## Cost", _cost(data["cost"])]
    parts += ["## Provenance", _provenance(data)]
    return "\n\n".join(part for part in parts if part) + "\n"


def plain(text: str) -> str:
    """Prose with Markdown's signs made literal."""
    return "".join(f"\\{c}" if c in "\\`*_{}[]<>#|" else c for c in text)


def _inputs(inputs: Iterable[Mapping[str, Any]]) -> str:
    lines = []
    for item in inputs:
        shape = "" if item["shape"] == ["1", "1"] else f"{' × '.join(item['shape'])}, "
        lines.append(f"- `{item['name']}` {shape}{item['text']}")
    return "\n".join(lines)


def _equations(equations: Iterable[Mapping[str, Any]]) -> str:
    lines = []
    for equation in equations:
        rows, cols = equation["shape"]
        shape = "" if rows == cols == "1" else f"({rows}, {cols})"
        lines.append(f"{equation['text']:<{_WIDTH}}  {shape}".rstrip())
    return _block(lines)


def _block(lines: Iterable[str]) -> str:
    body = "\n".join(lines)
    return f"```text\n{body}\n```"


def _theorem(theorem: Mapping[str, Any]) -> str:
    words = f"**{plain(theorem['name'])}** {plain(theorem['words'])}"
    return f"{words}\n\n{_block([theorem['scope'], *theorem['text']])}"


def _derivation(lines: list[Mapping[str, Any]]) -> str:
    rows = []
    width = max(len(line["rule"]) for line in lines)
    for line in lines:
        for place, equation in enumerate(line["equations"]):
            rule = "" if place else line["rule"]
            rows.append(f"{rule:<{width}}  {equation['text']}")
        if line["remark"]:
            rows.append(f"{'':<{width}}  ({line['remark']})")
    return _block(rows)


def _item(item: Mapping[str, str]) -> str:
    level = f"{item['level']} " if item["level"] else ""
    state = "" if item["state"] == "held" else f"**{item['state']}** "
    return f"- {level}{state}{plain(item['text'])}"


def _cost(cost: Mapping[str, Any]) -> str:
    example = ", ".join(f"{d} = {n}" for d, n in cost["example"].items())
    lines = [f"| | forward | backward | at {example} |", "|---|---|---|---|"]
    forward, backward = cost["routines"]["forward"], cost["routines"]["backward"]
    for name in forward:
        one, other = forward[name], backward[name]
        numbers = f"{one['example']:,} and {other['example']:,}"
        lines.append(f"| {name} | {one['formula']} | {other['formula']} | {numbers} |")
    saved = ", ".join(f"`{s['name']}` ({s['formula']})" for s in cost["saved"]) or "nothing"
    return "\n".join([*lines, "", f"Kept for the backward pass: {saved}."])


def _provenance(data: Mapping[str, Any]) -> str:
    script, proof = data["script"], data["proof"]
    lines = [f"- script `{script['path']}`"]
    if script["sha256"]:
        lines.append(f"- SHA-256 of the script `{script['sha256']}`")
    if proof:
        lines.append(f"- proof `{proof}`")
    return "\n".join(lines)
