"""P2: gradients checked exactly at finite sizes.

Input: a program and claimed gradients. Output: an `ExactResult`. The derivative of the forward
pass along random directions comes from forward-mode differentiation over a prime field and is
compared with the claim: <DY, J v> = <DV, v> for every variable V on its own. A true claim always
passes; a false one passes with at most the stated probability (Schwartz and Zippel; exponentials
of independent arguments count as independent). Neither the index kernel nor the gradient rules
take part, except that the sizes come from the small-model theorem.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import expression as ex
from ..expression import Expr
from ..program import Program
from ..prove import Proof
from ..scalar import ScalarFunction
from .bounds import error_bound
from .evaluate import MASKED, Evaluation
from .fields import REALS, RESIDUES, Array, Field, NoValueError
from .points import Point, draw_point, random_direction, unit_direction
from .sizes import SmallModel, small_model_sizes

# Branches are visited at several points; a claim whose own roots fail at one gets another.
_BRANCHING_POINTS = 4
_SPARE_POINTS = 20


@dataclass(frozen=True)
class ExactResult:
    """What was checked where; `counterexample` names the variable, sizes, entry and both values."""

    sizes: SmallModel
    ok: bool
    counterexample: str | None
    error_probability: float
    skipped: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Prepared:
    """A point with the forward pass evaluated, and <DY, J v> with v for every variable."""

    point: Point
    evaluation: Evaluation
    directions: dict[str, Array]
    wanted: dict[str, int]


def check_exact(
    program: Program,
    gradients: Sequence[tuple[str, Expr]],
    seed: int = 0,
    proof: Proof | None = None,
) -> ExactResult:
    """Check at the sizes of the small-model theorem and at sizes with a 1.

    The program's facts hold at every point. `proof` saves a second run of route B.
    """
    return ExactChecker(program, gradients, seed, proof).check(gradients)


class ExactChecker:
    """Evaluates the forward pass and its tangents once, then checks many claims against them."""

    def __init__(
        self,
        program: Program,
        gradients: Sequence[tuple[str, Expr]],
        seed: int = 0,
        proof: Proof | None = None,
        sizes: SmallModel | None = None,
    ) -> None:
        """`gradients` choose the sizes unless they are given; any claims can be checked there."""
        self._program = program
        self._sizes = sizes or small_model_sizes(program, gradients, proof)
        self._pools = [_Pool(program, sizes, seed) for sizes in self._sizes]

    def check(self, gradients: Iterable[tuple[str, Expr]]) -> ExactResult:
        """The first counterexample, if any; sizes at which nothing has a value are skipped."""
        claims = tuple(gradients)
        skipped, counterexample = [], None
        for pool in self._pools:
            if pool.is_empty:
                skipped.append(pool.sizes_text)
            elif counterexample is None:
                counterexample = pool.refute(claims)
        if len(skipped) == len(self._pools):
            counterexample = "no point was found at which the forward pass has a value"
        bound = max(
            error_bound(self._program.output, (g for _, g in claims), sizes)
            for sizes in self._sizes
        )
        return ExactResult(
            self._sizes, counterexample is None, counterexample, bound, tuple(skipped)
        )


class _Pool:
    """Points at one choice of sizes, drawn as they are needed."""

    def __init__(self, program: Program, sizes: dict[str, int], seed: int) -> None:
        self._program = program
        self._sizes = sizes
        self._rng = random.Random(f"{seed}:{program.name}:{sizes}")
        self._points: list[_Prepared] = []
        self._exhausted = False
        self._upstream = ex.symbol(program.upstream, program.output.shape)
        branching = any(_branches(node) for node in ex.topological(program.output))
        self._wanted_points = _BRANCHING_POINTS if branching else 1

    @property
    def sizes_text(self) -> str:
        return ", ".join(f"{dim} = {n}" for dim, n in self._sizes.items())

    @property
    def is_empty(self) -> bool:
        return self._prepared(0) is None

    def refute(self, claims: Sequence[tuple[str, Expr]]) -> str | None:
        """A counterexample at these sizes. Claims without a value at a point get another one."""
        agreed = 0
        for index in range(self._wanted_points + _SPARE_POINTS):
            prepared = self._prepared(index)
            if prepared is None:
                break
            try:
                for name, gradient in claims:
                    if not self._agrees(prepared, name, gradient):
                        return self._counterexample(prepared, name, gradient)
            except NoValueError:
                continue
            agreed += 1
            if agreed == self._wanted_points:
                return None
        return (
            f"at {self.sizes_text} the gradients have no value: a root or a quotient is undefined"
        )

    def _prepared(self, index: int) -> _Prepared | None:
        while len(self._points) <= index and not self._exhausted:
            point = draw_point(self._program, self._sizes, self._rng)
            if point is None:
                self._exhausted = True
            else:
                self._points.append(self._prepare(point))
        return self._points[index] if index < len(self._points) else None

    def _prepare(self, point: Point) -> _Prepared:
        evaluation = point.evaluation()
        upstream = evaluation.value(self._upstream)
        directions, wanted = {}, {}
        for variable in self._program.variables:
            shape = evaluation.shape(variable.expr)
            direction = random_direction(shape, RESIDUES[0], self._rng)
            directions[variable.name] = direction
            evaluation.set_direction(variable.name, RESIDUES[0], direction)
            wanted[variable.name] = _inner(
                upstream, evaluation.tangent(self._program.output, variable.name)
            )
        return _Prepared(point, evaluation, directions, wanted)

    def _agrees(self, prepared: _Prepared, name: str, gradient: Expr) -> bool:
        found = prepared.evaluation.value(gradient)
        return bool(_inner(found, prepared.directions[name]) == prepared.wanted[name])

    def _counterexample(self, prepared: _Prepared, name: str, gradient: Expr) -> str:
        """Probe unit directions for the first entry that differs; show it in real numbers."""
        evaluation = prepared.evaluation
        found = evaluation.value(gradient)
        place, wanted = next(
            (place, value)
            for place, value in self._derivatives(evaluation, name, RESIDUES[0])
            if value != found[place]
        )
        with np.errstate(all="ignore"):
            real = float(evaluation.value(gradient, REALS)[place])
            real_wanted = next(
                float(v) for p, v in self._derivatives(evaluation, name, REALS) if p == place
            )
        index = ", ".join(str(i + 1) for i in place)
        shown = f"{real:.6g}, expected {real_wanted:.6g}"
        if not abs(real - real_wanted) > 1e-9 * abs(real_wanted):
            shown = f"{found[place]} modulo {RESIDUES[0].prime}, expected {wanted}"
        return f"at {self.sizes_text}: D{name}[{index}] = {shown}"

    def _derivatives(
        self, evaluation: Evaluation, name: str, field: Field
    ) -> Iterator[tuple[tuple[int, ...], Any]]:
        """The true gradient of <DY, Y>, entry by entry."""
        upstream = evaluation.value(self._upstream, field)
        shape = evaluation.shape(self._program.input(name).expr)
        for place in np.ndindex(*shape):
            evaluation.set_direction(name, field, unit_direction(shape, place, field))
            tangent = evaluation.tangent(self._program.output, name, field)
            yield place, _inner(upstream, tangent, field)


def _inner(first: Array, second: Array | None, field: Field = RESIDUES[0]) -> Any:
    if second is None:
        return field.number(0)
    return field.reduce((first * second).sum(keepdims=True))[0, 0]


def _branches(node: Expr) -> bool:
    if node.op == "apply" and isinstance(node.attr, ScalarFunction):
        return not node.attr.is_smooth
    return node.op in MASKED
