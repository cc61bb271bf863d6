"""The computation graph of a forward definition, laid out in layers from inputs to output.

Input: a program. Output: a `Drawing` with boxes and curves in pixels. Sugiyama's method: longest
paths give the layers, long edges get a bend in each layer they cross, medians of neighbours give
first the order and then the places. Deterministic: ties keep the order of the program.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise

from .. import expression as ex
from ..expression import Expr
from ..formula import letters
from ..program import Program
from ..scalar import ScalarFunction
from ..text import negated, to_text
from .equations import forward_names

_CHARACTER, _PADDING, _BOX, _SPACE, _LEVEL = 7.4, 20, 40, 22, 68
_REPEATS = ("row_repeat", "column_repeat", "scalar_repeat", "transpose")
_SIGNS = {"hadamard": "⊙", "target_product": "⊙", "matmul": "matrix product"}
_POWERS = {Fraction(2): "square", Fraction(1, 2): "sqrt", Fraction(-1): "reciprocal",
           Fraction(-1, 2): "inv_sqrt"}  # fmt: skip


@dataclass
class Box:
    """A value: its name or operation, and its shape. `kind` is input, value, named or output."""

    title: str
    detail: str
    kind: str
    x: float = 0.0
    y: float = 0.0

    @property
    def width(self) -> float:
        longest = max(len(self.title), 0.86 * len(self.detail))
        return max(56.0, round(_CHARACTER * longest + _PADDING))

    @property
    def height(self) -> int:
        return _BOX


@dataclass(frozen=True)
class Curve:
    """An edge as an SVG path; repeated values are dashed."""

    path: str
    dashed: bool


@dataclass(frozen=True)
class Drawing:
    boxes: tuple[Box, ...]
    curves: tuple[Curve, ...]
    width: float
    height: float
    summary: str


@dataclass
class _Vertex:
    """A box or a bend, with its neighbours in the layers above and below."""

    box: Box | None
    layer: int
    above: list[int] = field(default_factory=list)
    below: list[int] = field(default_factory=list)
    x: float = 0.0

    @property
    def width(self) -> float:
        return self.box.width if self.box else 10.0


def draw(program: Program) -> Drawing:
    """The forward graph: repetition becomes a dashed edge, constants go into the labels."""
    nodes = [n for n in ex.topological(program.output) if _is_shown(n, program)]
    place = {node: i for i, node in enumerate(nodes)}
    names = forward_names(program)
    boxes = [_box(node, program, names) for node in nodes]
    edges: dict[tuple[int, int], bool] = {}
    for node in nodes:
        for operand, dashed in _operands(node, program):
            edges.setdefault((place[operand], place[node]), dashed)
    layers = _layers(len(nodes), list(edges))
    vertices, routes = _with_bends(boxes, layers, list(edges))
    rows = _ordered(vertices)
    _set_places(vertices, rows)
    for vertex in vertices:
        if vertex.box:
            vertex.box.x, vertex.box.y = round(vertex.x, 1), vertex.layer * _LEVEL + _BOX / 2 + 2
    curves = [Curve(_path(vertices, route), edges[edge]) for edge, route in routes.items()]
    width = max(v.x + v.width / 2 for v in vertices) + 2
    height = max(v.layer for v in vertices) * _LEVEL + _BOX + 4
    return Drawing(tuple(boxes), tuple(curves), round(width, 1), height, _summary(program))


def _summary(program: Program) -> str:
    inputs = ", ".join(i.name for i in program.inputs)
    steps = ", ".join(name for _, name in program.names)
    middle = f" by way of {steps}" if steps else ""
    return f"Computation graph of {program.name}: from {inputs}{middle} to {program.output_name}"


def _is_constant(node: Expr) -> bool:
    return all(n.op != "symbol" for n in ex.topological(node))


def _is_shown(node: Expr, program: Program) -> bool:
    if node is program.output:
        return True
    if node.op in ("number", "size") or _is_constant(node):
        return False
    named = program.name_of(node) is not None
    return named or (node.op not in _REPEATS and negated(node) is None)


def _operands(node: Expr, program: Program) -> list[tuple[Expr, bool]]:
    """What a box reads, through repetition and signs; whether it is repeated on the way."""
    found = []
    for arg in node.args:
        dashed = False
        while not _is_shown(arg, program) and arg.args:
            dashed |= arg.op in _REPEATS and arg.op != "transpose"
            arg = arg.args[-1] if arg.op == "hadamard" else arg.args[0]
        if _is_shown(arg, program):
            found.append((arg, dashed))
    return found


def _box(node: Expr, program: Program, names: dict[Expr, str]) -> Box:
    shape = f"{node.rows} × {node.cols}"
    if node.op == "symbol":
        return Box(letters(str(node.attr)), shape, "input")
    operation = _operation(node)
    if node in names:
        kind = "output" if node is program.output else "named"
        return Box(letters(names[node]), f"{operation} · {shape}", kind)
    return Box(operation, shape, "value")


def _operation(node: Expr) -> str:
    constants = [a for a in node.args if _is_constant(a)]
    if node.op == "add":
        minus = any(negated(a) is not None for a in node.args)
        sign = "−" if minus else "+"
        if not constants:
            return sign
        first = node.args[0] in constants
        opposite = negated(constants[0])
        text = to_text(constants[0] if opposite is None else opposite)
        return f"{text} {sign} …" if first else f"… {sign} {text}"
    if node.op == "hadamard" and constants:
        return f"× {to_text(constants[0])}"
    if node.op == "power":
        return _POWERS.get(node.attr, f"power {node.attr}")  # type: ignore[call-overload]
    if node.op == "apply" and isinstance(node.attr, ScalarFunction):
        return node.attr.name
    return _SIGNS.get(node.op, node.op)


def _layers(count: int, edges: list[tuple[int, int]]) -> list[int]:
    """Longest path from the inputs; then inputs move down to just above their first use."""
    layers = [0] * count
    for source, target in sorted(edges, key=lambda e: e[1]):
        layers[target] = max(layers[target], layers[source] + 1)
    has_operands = {target for _, target in edges}
    for vertex in range(count):
        users = [layers[t] for s, t in edges if s == vertex]
        if users and vertex not in has_operands:
            layers[vertex] = min(users) - 1
    return layers


def _with_bends(
    boxes: list[Box], layers: list[int], edges: list[tuple[int, int]]
) -> tuple[list[_Vertex], dict[tuple[int, int], list[int]]]:
    vertices = [_Vertex(box, layer) for box, layer in zip(boxes, layers, strict=True)]
    routes = {}
    for source, target in edges:
        route = [source]
        for layer in range(layers[source] + 1, layers[target]):
            route.append(len(vertices))
            vertices.append(_Vertex(None, layer))
        route.append(target)
        routes[source, target] = route
        for upper, lower in pairwise(route):
            vertices[upper].below.append(lower)
            vertices[lower].above.append(upper)
    return vertices, routes


def _ordered(vertices: list[_Vertex]) -> list[list[int]]:
    """Rows of vertices, sorted by the mean place of their neighbours, down and up in turn."""
    depth = max(v.layer for v in vertices) + 1
    rows = [[i for i, v in enumerate(vertices) if v.layer == layer] for layer in range(depth)]
    best, fewest = [list(r) for r in rows], _crossings(vertices, rows)
    for sweep in range(8):
        down = sweep % 2 == 0
        for layer in range(depth) if down else reversed(range(depth)):
            place = {v: i for r in rows for i, v in enumerate(r)}

            def mean(v: int, place: dict[int, int] = place, down: bool = down) -> float:
                near = vertices[v].above if down else vertices[v].below
                return sum(place[n] for n in near) / len(near) if near else place[v]

            rows[layer].sort(key=mean)
        found = _crossings(vertices, rows)
        if found < fewest:
            best, fewest = [list(r) for r in rows], found
    return best


def _crossings(vertices: list[_Vertex], rows: list[list[int]]) -> int:
    place = {v: i for r in rows for i, v in enumerate(r)}
    total = 0
    for r in rows:
        edges = [(place[v], place[w]) for v in r for w in vertices[v].below]
        total += sum((a - c) * (b - d) < 0 for a, b in edges for c, d in edges)
    return total


def _set_places(vertices: list[_Vertex], rows: list[list[int]]) -> None:
    """Each vertex near the mean of its neighbours, rows kept in order and free of overlap."""
    for r in rows:
        left = 0.0
        for v in r:
            vertices[v].x = left + vertices[v].width / 2
            left += vertices[v].width + _SPACE

    def settle(r: list[int], wish: Callable[[int], float]) -> None:
        wishes = [wish(v) for v in r]
        right, left = list(wishes), list(wishes)
        for i in range(1, len(r)):
            gap = (vertices[r[i - 1]].width + vertices[r[i]].width) / 2 + _SPACE
            right[i] = max(right[i], right[i - 1] + gap)
        for i in reversed(range(len(r) - 1)):
            gap = (vertices[r[i]].width + vertices[r[i + 1]].width) / 2 + _SPACE
            left[i] = min(left[i], left[i + 1] - gap)
        for i, v in enumerate(r):
            vertices[v].x = (left[i] + right[i]) / 2

    for sweep in range(12):
        for r in rows if sweep % 2 == 0 else reversed(rows):

            def wish(v: int, sweep: int = sweep) -> float:
                vertex = vertices[v]
                near = vertex.above if sweep % 2 == 0 else vertex.below
                near = near or vertex.below or vertex.above
                return sum(vertices[n].x for n in near) / len(near) if near else vertex.x

            settle(r, wish)
    shift = min(v.x - v.width / 2 for v in vertices) - 2
    for vertex in vertices:
        vertex.x -= shift


def _path(vertices: list[_Vertex], route: list[int]) -> str:
    """Down from the bottom of one box, through the bends, to the top of another."""
    points = []
    for place, v in enumerate(route):
        vertex = vertices[v]
        top = vertex.layer * _LEVEL + 2
        if place:
            points.append((vertex.x, float(top) - (3 if vertex.box else 0)))
        if place < len(route) - 1:
            points.append((vertex.x, float(top + _BOX)))
    path = [f"M{points[0][0]:.1f} {points[0][1]:.1f}"]
    for (x0, y0), (x1, y1) in pairwise(points):
        middle = (y0 + y1) / 2
        straight = abs(x0 - x1) < 0.5
        path.append(
            f"L{x1:.1f} {y1:.1f}" if straight
            else f"C{x0:.1f} {middle:.1f} {x1:.1f} {middle:.1f} {x1:.1f} {y1:.1f}"
        )  # fmt: skip
    return "".join(path)
