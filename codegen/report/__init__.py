"""Reports: layers and optimizers as HTML pages, Markdown and JSON.

Input: derivations, the results of their verification, the emitted sources. Output: text; nothing
is written here. Guaranteed: the same bytes for any hash seed and on any machine; a claim appears
as proved or checked only where the verification says so. Not guaranteed: the claims themselves.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..gains import Gain
from .data import report_data
from .markdown import to_markdown
from .subject import Subject

Item = tuple[Any, Mapping[str, Any], Mapping[str, str]]


def render_reports(
    items: Sequence[Item],
    networks: Iterable[tuple[str, str]] = (),
    gains: Sequence[Gain] = (),
) -> dict[str, str]:
    """Pages by path under generated/reports, for (derivation, verification, sources) each.

    `networks` are names and titles of pages about whole networks, for the index.
    `sources` maps a target's name, such as numpy or cpp, to the text that was emitted for it.
    """
    from .pages import index_page, layer_page, primitives_page, style_sheet

    subjects = [Subject(derivation) for derivation, _, _ in items]
    results = [verification for _, verification, _ in items]
    found = [report_data(s, r) for s, r in zip(subjects, results, strict=True)]
    texts = {
        "index.html": index_page(found, tuple(networks), bool(gains)),
        "primitives.html": primitives_page(),
        "style.css": style_sheet(),
    }
    if gains:
        from .gains import gains_page

        texts["gains.html"] = gains_page(gains)
    for subject, data, (_, _, sources) in zip(subjects, found, items, strict=True):
        name = data["layer"]
        texts[f"{name}.html"] = layer_page(subject, data, sources)
        texts[f"{name}.json"] = json.dumps(data, indent=1, ensure_ascii=False) + "\n"
        texts[f"{name}.md"] = to_markdown(data)
    return texts


__all__ = ["render_reports", "report_data", "to_markdown"]
