"""The words at the head of a generated file, the same for every target: equations and claims."""

from __future__ import annotations

from ..derivation import Derivation
from ..expression import Expr, Shape
from ..sparse import ENTRIES
from ..text import to_text


def equation_lines(derivation: Derivation) -> list[str]:
    """The forward definition and the gradient, one equation a line, with shapes."""
    program = derivation.program
    names: dict[Expr, str] = dict(program.names)
    rows = [(name, node) for node, name in program.names]
    rows.append((program.output_name, program.output))
    lines = _aligned([(n, to_text(e, names), e.shape) for n, e in rows])
    names[program.output] = program.output_name
    gradients = [(f"D{n}", to_text(g, names), g.shape) for n, g in derivation.gradients]
    return [*lines, "", *_aligned(gradients)]


def _aligned(rows: list[tuple[str, str, Shape]]) -> list[str]:
    longest = max(len(name) for name, _, _ in rows)
    texts = [f"{name.ljust(longest)} = {text}" for name, text, _ in rows]
    column = max(len(t) for t in texts) + 2
    lines = []
    for text, (_, _, shape) in zip(texts, rows, strict=True):
        dims = [d for d in shape if d != "1"]
        shown = "scalar" if not dims else f"({dims[0]},)" if len(dims) == 1 else f"({', '.join(dims)})"
        lines.append(f"{text.ljust(column)} {shown}")
    return lines


def claims(derivation: Derivation) -> str:
    """What is proved, and what is assumed, in words."""
    program = derivation.program
    sizes = " and ".join(", ".join(program.sizes).rsplit(", ", 1))
    parts = [f"Proved for every {sizes} (proof {derivation.proof_id[:12]})."]
    if program.divisor is not None:
        names = dict(program.names)
        divisor = to_text(program.divisor, names)
        divisor = divisor if divisor.isalnum() else f"({divisor})"
        parts.append(f"scale = 1 / {divisor}, or 1 for reduction=\"sum\".")
    if derivation.stored is not None:
        parts.append(
            f"M * W is stored by its {ENTRIES} entries, row by row: values, indices and indptr (CSR); Dvalues "
            "are those of DW."
        )
    if program.conventions:
        parts.append(f"Conventions: {'; '.join(program.conventions)}.")
    return "\n".join(parts)
