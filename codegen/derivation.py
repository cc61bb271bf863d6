"""From a forward definition to proved routines: the stages in their order.

Input: a `Layer` or a `Program`. Output: a `Derivation`, everything the emitters, the verification
and the reports need. Guaranteed: the sweep's gradients, the simplified ones and the lowered
routines are proved equal to route B for every size; otherwise `ProofFailure`.
"""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from .claim import Claim, check_claim
from .differentiate import Sweep, reverse_sweep
from .errors import NotationError, ProofFailure
from .expression import Expr
from .lower import lower, proved_again
from .notation import Layer, layer
from .primitives import Entries
from .program import Program, assuming, display_path
from .prove import Proof, check_fact, is_proved, route_b
from .routine import Kernel
from .segments import Seam, seams, with_named_seams
from .simplify import Simplified, Step, simplify
from .sparse import dense_again, stored
from .stabilise import Stabilised, stabilise

_DEEPEST_NESTING = 5000


@dataclass(frozen=True)
class Derivation:
    """A layer with its derivation, its proof and its lowered kernel.

    `proof_seconds` is the time the proof kernel took: route B and the three comparisons.
    """

    program: Program
    sweep: Sweep
    simplified: Simplified
    stable: Stabilised
    proof: Proof
    kernel: Kernel
    proof_seconds: float
    stored: Kernel | None = None  # of a sparse layer: the kernel on stored entries

    @property
    def face(self) -> Kernel:
        """The kernel that targets write, with the arguments that callers give."""
        return self.stored or self.kernel

    @property
    def name(self) -> str:
        return self.program.name

    @property
    def gradients(self) -> tuple[tuple[str, Expr], ...]:
        """The simplified gradient of every variable, in declared order."""
        return self.simplified.gradients

    @property
    def seams(self) -> tuple[Seam, ...]:
        """Forward values at which the derivation was taken apart."""
        return seams(self.program)

    @property
    def proof_id(self) -> str:
        """SHA-256 of route B's normal forms: equal equations have equal proofs."""
        text = "\n".join(f"{name}: {poly.key}" for name, poly in self.proof.gradients)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def steps(self) -> tuple[Step, ...]:
        """The rewrites from the sweep's gradients to the short ones."""
        return self.simplified.steps

    def source(self, target: str = "numpy") -> str:
        """The kernel as source text."""
        from .targets import TARGETS

        if target not in TARGETS:
            raise NotationError(f"no target {target}; known: {', '.join(TARGETS)}")
        return TARGETS[target].render(self)[f"{self.name}{TARGETS[target].suffix}"]

    def check(self, variable: str, claim: Callable[..., object]) -> Claim:
        """Judge a hand-written gradient: `found.check("Z", lambda Y, DY: Y * DY)`."""
        return check_claim(self.program, variable, claim)

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        from .report.notebook import derivation_bundle

        return derivation_bundle(self)

    def gradient(self, variable: str) -> Expr:
        return dict(self.gradients)[variable]

    def __repr__(self) -> str:
        from .text import to_text

        names: dict[Expr, str] = dict(self.program.names)
        lines = [f"{self.program.output_name} = {to_text(self.program.output, names)}"]
        names[self.program.output] = self.program.output_name
        lines += [f"D{name} = {to_text(g, names)}" for name, g in self.gradients]
        return "\n".join([f"{self.name}: proved for every size", *lines])


def derive(function: Layer | Program | Callable[..., object]) -> Derivation:
    """Derive and prove a layer without its facts; plain annotated functions are taken as layers."""
    if isinstance(function, Program):
        return _derive(function)
    made = function if isinstance(function, Layer) else layer(function)
    return _derive(replace(made.program(), facts=()))


def derive_all(made: Layer) -> list[Derivation]:
    """A layer and one named variant for each fact its script states."""
    program = made.program()
    general = replace(program, facts=())
    variants = [assuming(program, fact) for fact in program.facts]
    return [_derive(p) for p in (general, *variants)]


def _derive(program: Program) -> Derivation:
    where = f"{display_path(program.source)}: {program.name}"
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, _DEEPEST_NESTING))
    try:
        return _derived(program)
    except ZeroDivisionError:
        raise NotationError(f"{where}: a divisor is zero for all values") from None
    except RecursionError:
        raise NotationError(
            f"{where}: the operations are nested too deeply; split it into several layers"
        ) from None
    finally:
        sys.setrecursionlimit(limit)


def _derived(program: Program) -> Derivation:
    entry = Entries(program.positive)
    for fact in program.facts:
        reason = check_fact(fact, entry)
        if reason is not None:
            raise NotationError(f"{program.name}: the fact {fact.name} cannot be used: {reason}")
    program = with_named_seams(program)
    cut = seams(program)
    sweep = reverse_sweep(program, cut)
    start = time.perf_counter()
    proof = route_b(program, cut)
    _require(program, sweep, proof)
    seconds = time.perf_counter() - start
    simplified = _proved_simplification(program, sweep, proof, cut)
    stable = stabilise(program, cut, simplified.claims)
    kernel = lower(program, simplified, stable, [(s.node, s.adjoint) for s in sweep.steps])
    proof = proof.with_adjoints(simplified.adjoints)
    start = time.perf_counter()
    if not proved_again(kernel, proof):
        raise ProofFailure(
            f"{display_path(program.source)}: {program.name}: the lowered routines are not proved "
            "equal to the definition; this is an error in the lowering, please report the script"
        )
    face = stored(kernel)
    if face is not None and not proved_again(dense_again(face, kernel), proof):
        raise ProofFailure(
            f"{display_path(program.source)}: {program.name}: the sparse routines are not proved equal "
            "to the definition; this is an error in codegen/sparse.py, please report the script"
        )
    seconds += time.perf_counter() - start
    return Derivation(program, sweep, simplified, stable, proof, kernel, seconds, face)


def _proved_simplification(
    program: Program, sweep: Sweep, proof: Proof, cut: tuple[Seam, ...]
) -> Simplified:
    """The simplified gradients; one that is not proved goes back to the sweep's form."""
    simplified = simplify(program, sweep.claims, cut)
    raw = dict(sweep.claims)
    chosen = tuple(
        (name, claim if _holds(program, proof, name, claim) else raw[name])
        for name, claim in simplified.claims
    )
    if chosen == simplified.claims:
        return simplified
    step = Step("sweep", "a shorter form was found but not proved", chosen)
    return replace(simplified, claims=chosen, steps=(step,))


def _holds(program: Program, proof: Proof, name: str, claim: Expr) -> bool:
    return is_proved(proof.wanted[name], claim, proof.entries(program, name), program.facts)


def _require(program: Program, sweep: Sweep, proof: Proof) -> None:
    for name, claim in sweep.claims:
        if not _holds(program, proof, name, claim):
            raise ProofFailure(
                f"{display_path(program.source)}: {program.name}: D{name} from the reverse sweep "
                "is not proved equal to the index derivative."
                f"{counterexample(program, dict(sweep.gradients))}"
            )


def counterexample(program: Program, gradients: dict[str, Expr]) -> str:
    """Sizes, entry and both values where the gradients differ, or why there are none."""
    from .verify.exact import check_exact

    found = check_exact(program, tuple(gradients.items()))
    if found.counterexample:
        return f"\n       counterexample: {found.counterexample}"
    return (
        "\n       The exact check at finite sizes finds no difference: the kernel lacks an "
        "identity for these functions. Write the equation with other primitives, or report it."
    )
