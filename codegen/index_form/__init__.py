"""The proof kernel: entries of matrix expressions in index normal form.

Input: an entry of a matrix expression, built with `element`, `size`, `delta`, `function`,
`add`, `multiply`, `power` and `sum_over`. Output: a `Poly`, a sum of terms, each a rational
coefficient times a product of atoms with rational exponents.

Soundness: every constructor applies identities that hold for all sizes and all values in the
domain of the expression, so identical normal forms mean equal expressions for every size. Not
guaranteed: the converse. Atoms that depend on each other in a way the kernel does not know
(`sin` and `cos`, say) can keep two equal expressions apart; a proof then fails, it never lies.

Identities used: a delta on a summed index substitutes; an index that occurs in no factor
contributes its dimension; factors without the summed index leave the sum; sums of products
split into connected components; equal atoms merge exponents; integer powers of sums expand;
`exp(a + b)` splits; `exp(log a) = a`; `log` of a product of positive factors splits; the leading
monomial of `p` in `m p^-k` is divided out. Summed indices are relabelled canonically.

The modules, each on top of the ones before: `atoms`, `algebra`, `powers`, `functions`, `sums`,
`calculus`, `decisions`.
"""

from .algebra import (
    UNIT,
    ZERO,
    Poly,
    add,
    constant,
    delta,
    element,
    multiply,
    named_constant,
    product,
    rename,
    scale,
    size,
)
from .atoms import (
    ONE,
    Atom,
    Base,
    Bound,
    Contraction,
    Delta,
    Element,
    Function,
    Label,
    Monomial,
    Number,
    Selection,
)
from .calculus import differentiate, replace_atoms
from .decisions import index_counts, is_zero
from .functions import exp, function, log, selection, step
from .powers import common_number, holds_positive, is_positive, power
from .sums import sum_over

__all__ = [
    "ONE", "UNIT", "ZERO", "Atom", "Base", "Bound", "Contraction", "Delta", "Element",
    "Function", "Label", "Monomial", "Number", "Poly", "Selection", "add", "common_number",
    "constant", "delta", "differentiate", "element", "exp", "function", "holds_positive",
    "index_counts", "is_positive", "is_zero", "log", "multiply", "named_constant", "power",
    "product", "rename", "replace_atoms", "scale", "selection", "size", "step", "sum_over",
]  # fmt: skip
