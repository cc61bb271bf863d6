"""Formulas as boxes: what is printed, apart from the language it is printed in.

Input: boxes that `mathml` and `scalar_formula` build from expressions. Output: MathML or LaTeX of
one box. Guaranteed: well-formed MathML and balanced LaTeX whatever the names are; text from
scripts is escaped here and nowhere else. Not guaranteed: line breaks; a long formula is one line.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatch
from html import escape

GREEK = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ε", "zeta": "ζ", "eta": "η",
    "theta": "θ", "iota": "ι", "kappa": "κ", "lambda": "λ", "lambd": "λ", "mu": "μ", "nu": "ν",
    "xi": "ξ", "pi": "π", "rho": "ρ", "sigma": "σ", "tau": "τ", "phi": "φ", "chi": "χ", "psi": "ψ",
    "omega": "ω", "Gamma": "Γ", "Delta": "Δ", "Theta": "Θ", "Lambda": "Λ", "Xi": "Ξ", "Pi": "Π",
    "Sigma": "Σ", "Phi": "Φ", "Psi": "Ψ", "Omega": "Ω",
}  # fmt: skip
_GREEK_LATEX = {letter: f"\\{'lambda' if n == 'lambd' else n}" for n, letter in GREEK.items()}
_OPERATOR_LATEX = {
    "⊙": r" \odot ", "⊘": r" \oslash ", "−": " - ", "+": " + ", "=": " = ", "≥": r" \ge ",
    "≤": r" \le ", "≠": r" \ne ", "∧": r" \land ", "∨": r" \lor ", "¬": r" \lnot ", "×": r" \times ",
    "∈": r" \in ", ",": r",\, ", "<": " < ", ">": " > ", "⊤": r"\top", "′": "'", "″": "''",
}  # fmt: skip
_SYMBOL_LATEX = {"∂": r"\partial ", "ℝ": r"\mathbb{R}"}


class Box:
    """A piece of a formula."""


@dataclass(frozen=True)
class Name(Box):
    """A variable. Greek names become letters: `Dgamma` is Dγ."""

    text: str


@dataclass(frozen=True)
class Upright(Box):
    """The name of a function or an operator."""

    text: str


@dataclass(frozen=True)
class Digits(Box):
    text: str


@dataclass(frozen=True)
class Ones(Box):
    """The bold one of a vector or matrix of ones."""


@dataclass(frozen=True)
class Operator(Box):
    """A sign between boxes, or a sign before one where `prefix` is set."""

    text: str
    prefix: bool = False


@dataclass(frozen=True)
class Times(Box):
    """A product written by juxtaposition."""


@dataclass(frozen=True)
class Words(Box):
    """Plain words inside a formula."""

    text: str


@dataclass(frozen=True)
class Row(Box):
    parts: tuple[Box, ...]


@dataclass(frozen=True)
class Over(Box):
    above: Box
    below: Box


@dataclass(frozen=True)
class Raised(Box):
    base: Box
    above: Box


@dataclass(frozen=True)
class Lowered(Box):
    base: Box
    below: Box


@dataclass(frozen=True)
class Root(Box):
    body: Box


@dataclass(frozen=True)
class Fenced(Box):
    body: Box
    square: bool = False


@dataclass(frozen=True)
class Call(Box):
    """f(a, b, ...)."""

    function: Box
    arguments: tuple[Box, ...]


@dataclass(frozen=True)
class Cases(Box):
    """Values with their conditions; the condition of the last may be words."""

    rows: tuple[tuple[Box, Box], ...]


def row(*parts: Box) -> Box:
    return parts[0] if len(parts) == 1 else Row(parts)


def separated(boxes: tuple[Box, ...] | list[Box], separator: Box) -> Box:
    """The boxes in a row with the separator between them."""
    parts: list[Box] = []
    for place, box in enumerate(boxes):
        parts += [separator, box] if place else [box]
    return row(*parts)


def is_tall(box: Box) -> bool:
    """Whether brackets around it must grow."""
    if isinstance(box, Over | Root | Cases):
        return True
    if isinstance(box, Raised):
        return is_tall(box.base)
    inner = box.parts if isinstance(box, Row) else box.arguments if isinstance(box, Call) else ()
    return any(map(is_tall, inner)) or (isinstance(box, Fenced) and is_tall(box.body))


def letters(name: str) -> str:
    """The name with Greek words as letters: Dgamma is Dγ, sum_mu is sum_μ."""
    return "_".join(_greek(part) for part in name.split("_"))


def _greek(word: str) -> str:
    if word in GREEK:
        return GREEK[word]
    return f"D{GREEK[word[1:]]}" if word[:1] == "D" and word[1:] in GREEK else word


# MathML


@singledispatch
def mathml(box: Box) -> str:
    """Presentation MathML of a box, without the enclosing `math` element."""
    raise TypeError(f"{type(box).__name__} has no MathML; add it to gradwright.codegen.formula")


@mathml.register
def _(box: Name) -> str:
    text = escape(letters(box.text))
    return f"<mi>{text}</mi>" if len(text) == 1 else f'<mi class="name">{text}</mi>'


@mathml.register
def _(box: Upright) -> str:
    variant = ' mathvariant="normal"' if len(box.text) == 1 else ""
    return f"<mi{variant}>{escape(box.text)}</mi>"


@mathml.register
def _(box: Digits) -> str:
    return f"<mn>{escape(box.text)}</mn>"


@mathml.register
def _(_box: Ones) -> str:
    return "<mn>\N{MATHEMATICAL BOLD DIGIT ONE}</mn>"


@mathml.register
def _(box: Operator) -> str:
    form = ' form="prefix" lspace="0" rspace="0"' if box.prefix else ""
    return f"<mo{form}>{escape(box.text)}</mo>"


@mathml.register
def _(_box: Times) -> str:
    return '<mo lspace="0.15em" rspace="0.1em">\N{INVISIBLE TIMES}</mo>'


@mathml.register
def _(box: Words) -> str:
    return f"<mtext>{escape(box.text)}</mtext>"


@mathml.register
def _(box: Row) -> str:
    return f"<mrow>{''.join(mathml(part) for part in box.parts)}</mrow>"


@mathml.register
def _(box: Over) -> str:
    return f"<mfrac>{mathml(box.above)}{mathml(box.below)}</mfrac>"


@mathml.register
def _(box: Raised) -> str:
    return f"<msup>{mathml(box.base)}{mathml(box.above)}</msup>"


@mathml.register
def _(box: Lowered) -> str:
    return f"<msub>{mathml(box.base)}{mathml(box.below)}</msub>"


@mathml.register
def _(box: Root) -> str:
    return f"<msqrt>{mathml(box.body)}</msqrt>"


@mathml.register
def _(box: Fenced) -> str:
    left, right = "[]" if box.square else "()"
    stretchy = "" if is_tall(box.body) else ' stretchy="false"'
    body = mathml(box.body)
    return f"<mrow><mo{stretchy}>{left}</mo>{body}<mo{stretchy}>{right}</mo></mrow>"


@mathml.register
def _(box: Call) -> str:
    arguments = mathml(Fenced(separated(box.arguments, Operator(","))))
    return f"<mrow>{mathml(box.function)}<mo>\N{FUNCTION APPLICATION}</mo>{arguments}</mrow>"


@mathml.register
def _(box: Cases) -> str:
    rows = "".join(
        f'<mtr><mtd style="text-align:left">{mathml(value)}</mtd>'
        f'<mtd style="text-align:left">{mathml(condition)}</mtd></mtr>'
        for value, condition in box.rows
    )
    return f"<mrow><mo>{{</mo><mtable>{rows}</mtable></mrow>"


# LaTeX


@singledispatch
def latex(box: Box) -> str:
    """LaTeX of a box, for math mode with amsmath."""
    raise TypeError(f"{type(box).__name__} has no LaTeX; add it to gradwright.codegen.formula")


def _latex_text(text: str) -> str:
    special = {"\\": r"\backslash ", "^": r"\hat{\,}", "~": r"\sim "}
    return "".join(special.get(c, f"\\{c}" if c in "_#$%&{}" else c) for c in text)


@latex.register
def _(box: Name) -> str:
    """Runs of Latin letters in one italic, Greek letters as commands."""
    pieces: list[str] = []
    run = ""
    for character in letters(box.text):
        if character in _GREEK_LATEX:
            pieces += [_italic(run), _GREEK_LATEX[character] + " "]
            run = ""
        else:
            run += character
    return "".join([*pieces, _italic(run)]).strip() or "{}"


def _italic(run: str) -> str:
    if len(run) <= 1:
        return _latex_text(run)
    return f"\\mathit{{{_latex_text(run)}}}"


@latex.register
def _(box: Upright) -> str:
    if box.text in _SYMBOL_LATEX:
        return _SYMBOL_LATEX[box.text]
    return f"\\operatorname{{{_latex_text(box.text)}}}"


@latex.register
def _(box: Digits) -> str:
    return box.text


@latex.register
def _(_box: Ones) -> str:
    return r"\mathbf{1}"


@latex.register
def _(box: Operator) -> str:
    text = _OPERATOR_LATEX.get(box.text, _latex_text(box.text))
    return text.strip() if box.prefix else text


@latex.register
def _(_box: Times) -> str:
    return r"\, "


@latex.register
def _(box: Words) -> str:
    return f"\\text{{{_latex_text(box.text)}}}"


@latex.register
def _(box: Row) -> str:
    return "".join(latex(part) for part in box.parts)


@latex.register
def _(box: Over) -> str:
    return f"\\frac{{{latex(box.above)}}}{{{latex(box.below)}}}"


@latex.register
def _(box: Raised) -> str:
    return f"{_grouped(box.base)}^{{{latex(box.above).strip()}}}"


@latex.register
def _(box: Lowered) -> str:
    return f"{_grouped(box.base)}_{{{latex(box.below).strip()}}}"


def _grouped(base: Box) -> str:
    """A base in braces where it might have an index or exponent of its own."""
    simple = isinstance(base, Name | Upright | Digits | Ones | Fenced)
    return latex(base) if simple else f"{{{latex(base)}}}"


@latex.register
def _(box: Root) -> str:
    return f"\\sqrt{{{latex(box.body)}}}"


@latex.register
def _(box: Fenced) -> str:
    left, right = "[]" if box.square else "()"
    if is_tall(box.body):
        left, right = f"\\left{left}", f"\\right{right}"
    return f"{left}{latex(box.body)}{right}"


@latex.register
def _(box: Call) -> str:
    return f"{latex(box.function)}{latex(Fenced(separated(box.arguments, Operator(','))))}"


@latex.register
def _(box: Cases) -> str:
    rows = r" \\ ".join(f"{latex(value)} & {latex(condition)}" for value, condition in box.rows)
    return f"\\begin{{cases}} {rows} \\end{{cases}}"
