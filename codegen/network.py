"""Whole networks: one composed forward program, its backward pass, and the proof of it.

Input: a `Composition`, the kernels a network is made of. Output: a `NetworkDerivation`. The forward
program is one expression over the sizes N, H0, H1, ... Its gradients come out three ways: by
the reverse sweep over the whole program; by the chain rule, layer by layer, from the gradients that
the shipped layers have; and, where that is `within_reach`, by route B, which differentiates the whole
program entry by entry in index notation. Guaranteed: each layer's gradient is proved for every size
and upstream gradient, and the composed ones, by both ways, agree with forward-mode differentiation
over prime fields at finite sizes; otherwise `ProofFailure`. Where there is a `proof`, both have its
normal form for every size.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from gradwright.composition import Composition, Part
from gradwright.explain import names_of

from . import expression as ex
from .derivation import Derivation, derive
from .differentiate import reverse_sweep
from .errors import NotationError, ProofFailure
from .expression import Expr
from .inputs import built_in_scripts
from .notation import Layer
from .primitives import Entries
from .program import Input, Program
from .prove import Proof, is_proved, route_b
from .scripts import load_script
from .verify.exact import ExactChecker, ExactResult
from .verify.mutants import run_mutants
from .verify.sizes import SmallModel

# The normal form of a network grows fast with its depth: slowest where an activation stays one
# factor, and fastest with batch normalisation, whose outputs are quotients of sums.
WITHIN_REACH = 2
WITHIN_REACH_OF_FACTORS = 3
# Judging one takes a quarter of a second.
_MUTANTS = 15
_FACTORS = frozenset({"relu", "sigmoid", "tanh", "softplus", "softmax"})


@dataclass(frozen=True)
class NamedValue:
    """A line of the forward or backward pass: values with a name are written by it."""

    name: str
    expr: Expr


@dataclass(frozen=True)
class ChainStep:
    """One kernel of the network: its values, and the gradients of its arguments.

    Both are over named values: `D` and a name is the gradient of what has that name.
    """

    part: Part
    derivation: Derivation
    forward: tuple[NamedValue, ...]
    backward: tuple[NamedValue, ...]


@dataclass(frozen=True)
class NetworkDerivation:
    """A network with its gradients and what is known of them.

    `gradients`, over forward values and DL, are those of the chain rule, in declared order.
    `proof` is None where route B is out of reach or lacks an identity.
    """

    composition: Composition
    program: Program
    steps: tuple[ChainStep, ...]
    gradients: tuple[tuple[str, Expr], ...]
    proof: Proof | None
    exact: ExactResult

    @property
    def name(self) -> str:
        return self.program.name

    @property
    def proof_id(self) -> str | None:
        """SHA-256 of route B's normal forms."""
        if self.proof is None:
            return None
        text = "\n".join(f"{name}: {poly.key}" for name, poly in self.proof.gradients)
        return hashlib.sha256(text.encode()).hexdigest()


def derive_network(composition: Composition, name: str, title: str) -> NetworkDerivation:
    """Derive the gradients of a network and prove them.

    Raises NotationError for a kernel no script defines, ProofFailure where gradients differ.
    """
    steps = _steps(composition)
    program = _program(composition, steps, name, title)
    gradients = _gradients(program, steps)
    proof = route_b(program) if within_reach(composition) else None
    sweep = reverse_sweep(program).gradients
    if proof is not None and not all(proves(program, proof, g) for g in (sweep, gradients)):
        proof = None
    checker = ExactChecker(program, gradients, proof=proof, sizes=_sizes(composition, program))
    for claim in (gradients, sweep):
        exact = checker.check(claim)
        if not exact.ok:
            raise ProofFailure(f"{name}: {exact.counterexample}")
    return NetworkDerivation(composition, program, steps, gradients, proof, exact)


def reject_mutants(found: NetworkDerivation) -> int:
    """How many errors, planted into the gradients, the proof and the exact check both reject.

    Raises ProofFailure if one of them is not noticed. Needs a network with a `proof`.
    """
    assert found.proof is not None
    sizes = _sizes(found.composition, found.program)
    checker = ExactChecker(found.program, found.gradients, proof=found.proof, sizes=sizes)
    result = run_mutants(found.program, found.gradients, found.proof, checker, _MUTANTS)
    if result.survivors:
        survivors = ", ".join(mutant.description for mutant in result.survivors)
        raise ProofFailure(f"{found.name}: undetected: {survivors}")
    return result.total


def within_reach(composition: Composition) -> bool:
    """Whether route B takes seconds for the whole network, not hours."""
    *parts, _ = composition.parts
    kernels = [part.kernel for part in parts if not part.kernel.endswith("linear")]
    depth = len(parts) - len(kernels)
    if "batchnorm" in kernels:
        return False
    return depth <= (WITHIN_REACH_OF_FACTORS if _FACTORS.issuperset(kernels) else WITHIN_REACH)


@cache
def _layers() -> Mapping[str, Layer]:
    items = (item for path in built_in_scripts() for item in load_script(path))
    return {item.name: item for item in items if isinstance(item, Layer)}


@cache
def _derived(name: str) -> Derivation:
    if name not in _layers():
        raise NotationError(f"no script defines the layer {name}")
    return derive(_layers()[name])


def _steps(composition: Composition) -> tuple[ChainStep, ...]:
    """Every kernel's equations in the network's names."""
    taken = set(composition.names)
    return tuple(_step(part, _derived(part.kernel), taken) for part in composition.parts)


def _step(part: Part, derivation: Derivation, taken: set[str]) -> ChainStep:
    program = derivation.program
    arrays = [item for item in program.inputs if item.is_array]
    formal = [item.name for item in arrays]
    inner = [name for _, name in program.names]
    names = names_of(part, formal, program.output_name, inner, taken)
    sizes = _size_names(arrays, part)
    values = {
        ex.with_sizes(item.expr, sizes): ex.symbol(value.name, value.shape)
        for item, value in zip(arrays, part.inputs, strict=True)
    }
    values |= _hyperparameters(program, part)
    upstream = ex.symbol(program.upstream, program.output.shape)
    values[ex.with_sizes(upstream, sizes)] = ex.symbol(
        f"D{part.output.name}", part.output.shape
    )
    forward, known = [], dict(values)
    for node, name in (*program.names, (program.output, program.output_name)):
        moved = ex.with_sizes(node, sizes)
        found = ex.substitute(moved, known)
        forward.append(NamedValue(names[name], found))
        known[moved] = ex.symbol(names[name], found.shape)
    backward = []
    for name, gradient in derivation.gradients:
        found = ex.substitute(ex.with_sizes(gradient, sizes), known)
        backward.append(NamedValue(f"D{names[name]}", found))
    return ChainStep(part, derivation, tuple(forward), tuple(backward))


def _size_names(arrays: list[Input], part: Part) -> dict[str, str]:
    found: dict[str, str] = {}
    for item, value in zip(arrays, part.inputs, strict=True):
        found |= dict(zip(item.shape, value.shape, strict=True))
    found.pop("1", None)
    return found


def _hyperparameters(program: Program, part: Part) -> dict[Expr, Expr]:
    """Numbers for those the network gives; the others stay symbols, one for the whole network."""
    given = dict(part.hyperparameters)
    return {
        item.expr: ex.lift(given[item.name])
        for item in program.inputs
        if not item.is_array and item.name in given
    }


def _program(
    composition: Composition, steps: tuple[ChainStep, ...], name: str, title: str
) -> Program:
    """The composed forward program, every named value of every layer named."""
    values: dict[Expr, Expr] = {}
    names: list[tuple[Expr, str]] = []
    for step in steps:
        for line in step.forward:
            node = ex.substitute(line.expr, values)
            values[ex.symbol(line.name, node.shape)] = node
            names.append((node, line.name))
    output, output_name = names.pop()
    loss = steps[-1]
    divisor = loss.derivation.program.divisor
    arrays = [item for item in loss.derivation.program.inputs if item.is_array]
    roles = {"parameter": "variable", "data": "variable", "target": "target"}
    inputs = [Input(v.name, v.shape, roles.get(v.kind, "constant")) for v in composition.inputs]
    return Program(
        name, title, (*inputs, *_scalars(steps)), output_name, output, tuple(dict(names).items()),
        tuple(dict.fromkeys(c for s in steps for c in s.derivation.program.conventions)),
        divisor=None if divisor is None else ex.with_sizes(divisor, _size_names(arrays, loss.part)),
    )  # fmt: skip


def _scalars(steps: tuple[ChainStep, ...]) -> list[Input]:
    """Hyperparameters that stay symbols."""
    found = {}
    for step in steps:
        for item in step.derivation.program.inputs:
            if not item.is_array and item.name not in step.part.hyperparameters:
                found[item.name] = item
    return list(found.values())


def _gradients(program: Program, steps: tuple[ChainStep, ...]) -> tuple[tuple[str, Expr], ...]:
    """The chain rule, each gradient written out over forward values and DL."""
    named = {ex.symbol(name, node.shape): node for node, name in program.names}
    found: dict[Expr, Expr] = {}
    for step in reversed(steps):
        for line in step.backward:
            expr = ex.substitute(line.expr, found | named)
            found[ex.symbol(line.name, expr.shape)] = expr
    return tuple((v.name, found[ex.symbol(f"D{v.name}", v.shape)]) for v in program.variables)


def proves(program: Program, proof: Proof, gradients: tuple[tuple[str, Expr], ...]) -> bool:
    """Whether all gradients have route B's normal form. False need not mean that they are wrong."""
    entry = Entries(program.positive)
    claimed = dict(gradients)
    return all(is_proved(wanted, claimed[name], entry) for name, wanted in proof.gradients)


def _sizes(composition: Composition, program: Program) -> SmallModel:
    """All sizes different, then each of them 1.

    Batch normalisation needs a square root in a prime field for every column: few columns, then.
    """
    normalised = any(part.kernel == "batchnorm" for part in composition.parts)
    widths = (3, 2, 1, 2, 1, 2) if normalised else (2, 3, 4, 5, 6, 3)
    numbers = {dim: widths[min(i, 5)] for i, dim in enumerate(program.sizes)}
    whole = tuple(numbers.items())
    ones = [tuple((d, 1 if d == dim else n) for d, n in whole) for dim in numbers if dim != "N"]
    found = dict.fromkeys((whole, *ones))
    return SmallModel(tuple(found), complete=False)
