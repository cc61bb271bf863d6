"""What is guaranteed, in three lists that are never mixed: proved, checked, assumed.

Input: a derivation and the results of its verification. Guaranteed: an item is listed as proved or
checked only where the verification says so; a missing result is listed as not run, a failed one
as failed. Measured errors appear as bounds, so that they are the same on every machine.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Verification = Mapping[str, Any]
_DOMAINS = {"positive": "> 0", "nonnegative": ">= 0", "unit": "in [0, 1)"}


@dataclass(frozen=True)
class Item:
    """A claim. `level` is P0 to P6 or empty; `state` is held, failed or not run."""

    level: str
    text: str
    state: str = "held"


@dataclass(frozen=True)
class Guarantees:
    proved: tuple[Item, ...]
    checked: tuple[Item, ...]
    assumed: tuple[Item, ...]


def guarantees(derivation: Any, verification: Verification) -> Guarantees:
    return Guarantees(
        tuple(_proved(derivation, verification)),
        tuple(_checked(verification)),
        tuple(_assumed(derivation)),
    )


def _item(level: str, text: str, result: object, good: tuple[str, ...]) -> Item:
    if result is None:
        return Item(level, text, "not run")
    return Item(level, text, "held" if result in good else "failed")


def _proved(derivation: Any, verification: Verification) -> list[Item]:
    program = derivation.program
    gradients = [f"D{name}" for name, _ in getattr(derivation, "gradients", ())]
    sizes = listed(getattr(program, "sizes", ()))
    items = [_item("P0", "The shapes of all operations agree.", verification.get("P0"), ("ok",))]
    result = verification.get("P1")
    facts = [fact.name for fact in getattr(program, "facts", ())]
    given = f", given the fact {listed(facts)}" if facts else ""
    if gradients:
        texts = [
            f"{listed(gradients)}: the reverse sweep and differentiation entry by entry in index "
            f"notation, two independent routes, have one normal form for all {sizes}{given}.",
            "The simplified gradients have that normal form too, and so have the statements of "
            "both kernels, one by one as they are emitted.",
        ]
        items += [_item("P1", text, result, ("proved",)) for text in texts]
    stable = getattr(derivation, "stable", None)
    theorems = stable.theorems if stable else getattr(derivation, "theorems", ())
    items += [_item("P1", f"{sentence(str(t))}.", result, ("proved",)) for t in theorems]
    return items


def _checked(verification: Verification) -> list[Item]:
    exact, oracle = verification.get("P2"), verification.get("P3")
    points = "Exact at random points of a finite field, with a generic upstream gradient"
    if exact:
        points += f", at {shapes(exact)}"
        if exact.get("error_probability"):
            points += f"; a wrong equation passes with probability below {power_of_ten(float(exact['error_probability']))}"
    entries = "Equal to SymPy's derivative of explicit matrices, entry by entry"
    if oracle:
        entries += f", at {shapes(oracle)}"
    items = [
        _item("P2", f"{points}.", exact and exact.get("status"), ("exact",)),
        _item("P3", f"{entries}.", oracle and oracle.get("status"), ("equal",)),
    ]
    items += _floats(verification.get("P4"))
    edges, mutants = verification.get("P5"), verification.get("mutants")
    text = "Edge cases of the inputs"
    if edges:
        text = f"{edges['passed']} of {edges['total']} edge cases keep their promise"
    items.append(_item("P5", f"{text}.", edges and edges["passed"] == edges["total"], (True,)))
    return [*items, _mutants(mutants)]


def shapes(result: Mapping[str, Any]) -> str:
    return listed(str(size).replace("x", "×") for size in result.get("sizes", ()))


def power_of_ten(value: float) -> str:
    """The next power of ten that is not smaller."""
    return f"1e{math.ceil(math.log10(value) - 1e-9)}"


def _floats(result: Mapping[str, Any] | None) -> list[Item]:
    if not result:
        return [Item("P4", "Floating point, against many digits.", "not run")]
    items = []
    for backend, errors in result.items():
        parts = []
        if "float64" in errors:
            parts.append(f"float64 within {relative_bound(float(errors['float64']))}")
        if "float32_ulp" in errors:
            parts.append(f"float32 within {ulp_bound(float(errors['float32_ulp']))} ULP")
        text = f"{backend_title(backend)} against many digits: {', '.join(parts)}."
        finite = all(math.isfinite(float(e)) for e in errors.values() if isinstance(e, int | float))
        items.append(Item("P4", text, "held" if finite else "failed"))
    return items


def backend_title(backend: str) -> str:
    return {"numpy": "NumPy", "cpp": "C++"}.get(backend, backend)


def relative_bound(error: float) -> str:
    """A bound for a relative error, coarse enough to be the same on every machine."""
    steps = (exponent for exponent in range(-14, 1, 2) if error <= 10.0**exponent)
    return f"1e{next(steps, 'inf')}"


def ulp_bound(error: float) -> str:
    steps = (bound for bound in (4, 16, 64, 256, 1024, 65536) if error <= bound)
    return str(next(steps, "infinitely many"))


def _mutants(result: Mapping[str, Any] | None) -> Item:
    if not result:
        return Item("P6", "Wrong gradients planted on purpose.", "not run")
    total = result["total"]
    parts = [f"{result['killed']} of {total} wrong gradients planted on purpose were rejected"]
    names = {"killed_by_proof": "by the proof", "killed_exactly": "by the exact check"}
    ways = [f"{result[key]} {way}" for key, way in names.items() if key in result]
    if ways:
        parts.append(" and ".join(ways))
    killed = all(result.get(key, total) == total for key in ("killed", *names))
    return Item("P6", f"{', '.join(parts)}.", "held" if killed else "failed")


def _assumed(derivation: Any) -> list[Item]:
    program = derivation.program
    items = [Item("", "Arithmetic is that of the real numbers, inputs lie where the layer is "
                      "defined; rounding is checked, not proved.")]  # fmt: skip
    for item in getattr(program, "inputs", ()):
        if item.domain in _DOMAINS:
            items.append(Item("", f"{item.name} {_DOMAINS[item.domain]}."))
    items += [Item("", f"Fact {fact.name}: {fact.text}.") for fact in getattr(program, "facts", ())]
    facts = {f"assumes that {fact.text}" for fact in getattr(program, "facts", ())}
    items += [
        Item("", f"Convention: {text}.") for text in program.conventions if text not in facts
    ]
    return items


def listed(names: Any) -> str:
    """A, B and C."""
    names = [str(name) for name in names]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def sentence(text: str) -> str:
    """With a capital, unless it begins with a formula."""
    return text[:1].upper() + text[1:] if text.split(" ")[0].isalpha() else text
