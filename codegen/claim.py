"""Claims: a gradient somebody derived by hand, judged by the proof kernel and at finite sizes.

Input: a program and a function that writes the gradient of one variable in the notation. Output: a
`Claim`. Guaranteed: `proved` means equal to the index derivative for every size; a counterexample
means different. A claim can be true without a proof where the kernel lacks an identity.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction

from . import expression as ex
from .errors import NotationError, ShapeError
from .expression import Expr
from .primitives import Entries
from .program import Program
from .prove import is_proved, route_b
from .text import to_text
from .verify.exact import check_exact


@dataclass(frozen=True)
class Claim:
    """A claimed gradient and the verdict; true where it is proved.

    `counterexample` names sizes, entry and both values where the claim is wrong.
    """

    text: str
    gradient: Expr
    proved: bool
    counterexample: str | None

    def __bool__(self) -> bool:
        return self.proved

    def __repr__(self) -> str:
        if self.proved:
            return f"{self.text}: proved for every size"
        if self.counterexample:
            return f"{self.text}: wrong; {self.counterexample}"
        return f"{self.text}: no difference at finite sizes, but not proved for all of them"


def check_claim(program: Program, variable: str, claim: Callable[..., object]) -> Claim:
    """Whether `claim` is the gradient of `variable`.

    The arguments of `claim` are taken by name: inputs, named intermediates, the output and the
    upstream gradient, `DY` for an output `Y`. It returns a matrix of the variable's shape in the
    notation. The loss is the default one, divided as its script says. Raises NotationError for an
    unknown name and ShapeError for another shape.
    """
    if variable not in [i.name for i in program.variables]:
        variables = ", ".join(i.name for i in program.variables)
        raise NotationError(f"{program.name}: no variable {variable}; variables: {variables}")
    program = _with_default_reduction(program)
    known = _vocabulary(program)
    arguments = list(inspect.signature(claim).parameters)
    unknown = [name for name in arguments if name not in known]
    if unknown:
        raise NotationError(
            f"{program.name}: the claim about D{variable} uses {unknown[0]}; "
            f"known names: {', '.join(known)}"
        )
    gradient = ex.lift(claim(**{name: known[name] for name in arguments}))
    wanted_shape = program.input(variable).shape
    if gradient.shape != wanted_shape:
        raise ShapeError(
            f"{program.name}: D{variable} has the shape {ex.shape_text(wanted_shape)} of {variable}, "
            f"the claim has {ex.shape_text(gradient.shape)}"
        )
    entry = Entries(program.positive)
    proof = route_b(program)
    proved = is_proved(dict(proof.gradients)[variable], gradient, entry, program.facts)
    found = None if proved else check_exact(program, [(variable, gradient)]).counterexample
    names = dict(program.names) | {program.output: program.output_name}
    return Claim(f"D{variable} = {to_text(gradient, names)}", gradient, proved, found)


def _vocabulary(program: Program) -> dict[str, Expr]:
    known = {i.name: i.expr for i in program.inputs}
    known |= {name: node for node, name in program.names}
    known[program.output_name] = program.output
    known[program.upstream] = ex.symbol(program.upstream, program.output.shape)
    return known


def _with_default_reduction(program: Program) -> Program:
    """The program with the factor of its reduction written out."""
    if program.divisor is None:
        return program
    scale = {ex.symbol("scale", ("1", "1")): ex.power(program.divisor, Fraction(-1))}
    names = tuple((ex.substitute(node, scale), name) for node, name in program.names)
    output = ex.substitute(program.output, scale)
    return replace(program, output=output, names=names, divisor=None)
