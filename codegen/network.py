"""Whole networks: one composed forward program, its backward pass, and the proof of it.

Input: a `Composition`, the kernels a network is made of. Output: a `NetworkDerivation`. The forward
program is one expression over the sizes N, H0, H1, ... Its gradients come out three ways: by
the reverse sweep over the whole program; by the chain rule, layer by layer, from the gradients that
the shipped layers have; and by route B, which differentiates the whole program entry by entry in
index notation, taken apart at the pre-activations as `segments` says. Guaranteed, at any depth: the
gradients by both ways have route B's normal form for every size; otherwise `ProofFailure`. Where the
fields have points, they also agree with forward-mode differentiation of the whole at finite sizes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache

from gradwright.composition import Composition, Part
from gradwright.explain import names_of

from . import expression as ex
from .derivation import Derivation, derive
from .differentiate import reverse_sweep
from .errors import NotationError, ProofFailure, UnsupportedPrimitive
from .expression import Expr
from .inputs import built_in_scripts
from .notation import Layer
from .program import Fact, Input, Program, assuming
from .prove import Proof, is_proved, route_b
from .scripts import load_script
from .segments import Claims, Seam, resolved, seams
from .verify.exact import ExactChecker, ExactResult
from .verify.mutants import run_mutants
from .verify.sizes import SmallModel

# Layers with roots, beyond which a point of prime fields at which all of them exist is not found.
_MOST_NORMALISED = 2
# Judging one takes a quarter of a second.
_MUTANTS = 15


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
    """A network with its gradients and what is known of them. `exact` is None where no fields fit.

    `gradients`, over forward values and DL, are those of the chain rule, in declared order. The
    `proof` was taken apart at the `seams`.
    """

    composition: Composition
    program: Program
    steps: tuple[ChainStep, ...]
    gradients: Claims
    seams: tuple[Seam, ...]
    proof: Proof
    exact: ExactResult | None

    @property
    def name(self) -> str:
        return self.program.name

    @property
    def proof_id(self) -> str:
        """SHA-256 of route B's normal forms."""
        text = "\n".join(f"{name}: {poly.key}" for name, poly in self.proof.gradients)
        return hashlib.sha256(text.encode()).hexdigest()


def derive_network(composition: Composition, name: str, title: str) -> NetworkDerivation:
    """Derive the gradients of a network and prove them.

    Raises NotationError for a kernel no script defines, ProofFailure where gradients differ.
    """
    steps = _steps(composition)
    program = _program(composition, steps, name, title)
    outputs = {part.output.name for part in composition.parts}
    cut = tuple(seam for seam in seams(program) if seam.name in outputs)
    proof = route_b(program, cut)
    chain, sweep = _chain_rule(program, steps, cut), reverse_sweep(program, cut)
    for claims in (chain, sweep.claims):
        _require_proof(program, proof, claims)
    adjoints = tuple(claim for claim in chain if claim[0] in {seam.name for seam in cut})
    gradients = resolved(tuple(c for c in chain if c not in adjoints), dict(adjoints))
    proof = proof.with_adjoints(adjoints)
    exact = _exact(composition, program, proof, (gradients, sweep.gradients))
    return NetworkDerivation(composition, program, steps, gradients, cut, proof, exact)


def _exact(
    composition: Composition, program: Program, proof: Proof, claims: tuple[Claims, Claims]
) -> ExactResult | None:
    """The check at finite sizes, or None where prime fields have no fitting points."""
    if _normalised(composition) > _MOST_NORMALISED:
        return None
    try:
        sizes = _sizes(composition, program)
        checker = ExactChecker(program, claims[0], proof=proof, sizes=sizes)
        results = [checker.check(claim) for claim in claims]
    except UnsupportedPrimitive:  # exponentials of exponentials, deeper than there are fields
        return None
    for result in results:
        if not result.ok:
            raise ProofFailure(f"{program.name}: {result.counterexample}")
    return results[0]


def _normalised(composition: Composition) -> int:
    return sum(part.kernel == "batchnorm" for part in composition.parts)


def reject_mutants(found: NetworkDerivation) -> int:
    """How many errors, planted into the gradients, the proof and the exact check both reject.

    Raises ProofFailure if one of them is not noticed.
    """
    sizes = _sizes(found.composition, found.program)
    checker = ExactChecker(found.program, found.gradients, proof=found.proof, sizes=sizes)
    result = run_mutants(found.program, found.gradients, found.proof, checker, _MUTANTS)
    if result.survivors:
        survivors = ", ".join(mutant.description for mutant in result.survivors)
        raise ProofFailure(f"{found.name}: undetected: {survivors}")
    return result.total


@cache
def _layers() -> Mapping[str, Layer]:
    """Layers by name, the variants that use a fact under their own names."""
    items = (item for path in built_in_scripts() for item in load_script(path))
    layers = [item for item in items if isinstance(item, Layer)]
    variants = ((f"{made.name}_{f.name}", made) for made in layers for f in made.program().facts)
    return {made.name: made for made in layers} | dict(variants)


@cache
def _derived(name: str) -> Derivation:
    if name not in _layers():
        raise NotationError(f"no script defines the layer {name}")
    made = _layers()[name]
    return derive(made) if made.name == name else derive(_variant(made, name))


def _variant(made: Layer, name: str) -> Program:
    program = made.program()
    return next(v for f in program.facts if (v := assuming(program, f)).name == name)


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
        facts=tuple(_moved(fact, step) for step in steps for fact in step.derivation.program.facts),
    )  # fmt: skip


def _moved(fact: Fact, step: ChainStep) -> Fact:
    """A layer's fact in the network's names."""
    arrays = [item for item in step.derivation.program.inputs if item.is_array]
    sizes = _size_names(arrays, step.part)
    names = {
        ex.with_sizes(item.expr, sizes): ex.symbol(value.name, value.shape)
        for item, value in zip(arrays, step.part.inputs, strict=True)
    }
    left, right = (ex.substitute(ex.with_sizes(e, sizes), names) for e in (fact.left, fact.right))
    return replace(fact, left=left, right=right)


def _scalars(steps: tuple[ChainStep, ...]) -> list[Input]:
    """Hyperparameters that stay symbols."""
    found = {}
    for step in steps:
        for item in step.derivation.program.inputs:
            if not item.is_array and item.name not in step.part.hyperparameters:
                found[item.name] = item
    return list(found.values())


def _chain_rule(
    program: Program, steps: tuple[ChainStep, ...], cut: tuple[Seam, ...]
) -> Claims:
    """The gradients that the layers have, joined: adjoints of the seams, then of the variables.

    Each is over forward values and the adjoints of the seams before it.
    """
    named = {ex.symbol(name, node.shape): node for node, name in program.names}
    kept = {f"D{seam.name}" for seam in cut}
    found: dict[Expr, Expr] = {}
    claims = []
    for step in reversed(steps):
        for line in step.backward:
            expr = ex.substitute(line.expr, found | named)
            if line.name in kept:
                claims.append((line.name[1:], expr))
            else:
                found[ex.symbol(line.name, expr.shape)] = expr
    variables = ((v.name, ex.symbol(f"D{v.name}", v.shape)) for v in program.variables)
    return (*claims, *((name, found[symbol]) for name, symbol in variables))


def proves(program: Program, proof: Proof, claims: Claims) -> bool:
    """Whether all adjoints and gradients have route B's normal form."""
    return all(
        is_proved(proof.wanted[name], claim, proof.entries(program, name), program.facts)
        for name, claim in claims
    )


def _require_proof(program: Program, proof: Proof, claims: Claims) -> None:
    for claim in claims:
        if not proves(program, proof, (claim,)):
            raise ProofFailure(
                f"{program.name}: D{claim[0]} is not proved equal to the index derivative"
            )


def _sizes(composition: Composition, program: Program) -> SmallModel:
    """All sizes different, then each of them 1.

    Batch normalisation needs a square root in a prime field for every column: few columns, then.
    """
    widths = (3, 2, 1, 2, 1, 2) if _normalised(composition) else (2, 3, 4, 5, 6, 3)
    numbers = {dim: widths[min(i, 5)] for i, dim in enumerate(program.sizes)}
    whole = tuple(numbers.items())
    ones = [tuple((d, 1 if d == dim else n) for d, n in whole) for dim in numbers if dim != "N"]
    found = dict.fromkeys((whole, *ones))
    return SmallModel(tuple(found), complete=False)
