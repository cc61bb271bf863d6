"""What is guaranteed, in three lists that are never mixed: proved, checked, assumed.

Input: a subject and the results of its verification. Guaranteed: an item is listed as proved or
checked only where the verification says so; a missing result is listed as not run, a failed one
as failed. Measured errors appear as bounds, so that they are the same on every machine.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .subject import Subject

Results = Mapping[str, Any]
_DOMAINS = {"positive": "> 0", "nonnegative": "≥ 0", "unit": "in [0, 1)", "share": "in [0, 1]"}
_RELATIVE = (2e-14, 1e-12, 1e-10, 1e-8, 1e-6)
_ULP = (16, 64, 256, 1024, 65536)


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


def guarantees(subject: Subject, results: Results) -> Guarantees:
    proved = [_shapes(subject, results), *_proved(subject, results.get("P1"))]
    checked = [
        _exact(subject, results.get("P2")),
        _oracle(subject, results.get("P3")),
        *_floats(results.get("P4")),
        _edges(results.get("P5")),
        _mutants(results.get("mutants")),
    ]
    return Guarantees(tuple(proved), tuple(checked), tuple(_assumed(subject)))


def _item(level: str, text: str, result: object, good: object) -> Item:
    state = "not run" if result is None else "held" if result == good else "failed"
    return Item(level, text, state)


def _shapes(subject: Subject, results: Results) -> Item:
    text = "The shapes of all operations agree."
    if subject.is_optimizer:
        text = "The rule is element-wise: one formula holds for arrays of every shape."
    return _item("P0", text, results.get("P0"), "ok")


def _proved(subject: Subject, result: object) -> list[Item]:
    texts = [f"{s.name}: {s.words.rstrip('.')}, {s.scope}." for s in subject.statements]
    if subject.gradients:
        gradients = listed(f"D{name}" for name, _ in subject.gradients)
        facts = listed(fact.name for fact in subject.facts)
        given = f", given the fact {facts}" if facts else ""
        texts.append(
            f"{gradients}: the reverse sweep and differentiation entry by entry in index "
            "notation, two independent routes, have one normal form for all "
            f"{listed(subject.sizes)}{given}."
        )
        texts.append(
            "The simplified gradients have that normal form too, and so have the statements of "
            "both kernels, one by one as they are emitted."
        )
    texts += [f"{sentence(theorem)}." for theorem in subject.stability]
    return [_item("P1", text, result, "proved") for text in texts]


def _exact(subject: Subject, result: Results | None) -> Item:
    text = "Exact at random points of a finite field, with a generic upstream gradient"
    if subject.is_optimizer:
        text = "The theorems agree with the rule itself, run step by step on random residues"
    if result:
        text += f", at {shapes(result)}" if result.get("sizes") else ""
        if result.get("error_probability"):
            bound = power_of_ten(float(result["error_probability"]))
            text += f"; a wrong equation passes with probability below {bound}"
    return _item("P2", f"{text}.", result and result.get("status"), "exact")


def _oracle(subject: Subject, result: Results | None) -> Item:
    text = "Equal to SymPy's derivative of explicit matrices, entry by entry"
    if subject.is_optimizer:
        text = "Equal to what SymPy finds for explicit steps of the script"
    if result and result.get("sizes"):
        text += f", at {shapes(result)}"
    return _item("P3", f"{text}.", result and result.get("status"), "equal")


def _floats(result: Results | None) -> list[Item]:
    if not result:
        return [Item("P4", "Floating point, against fifty digits.", "not run")]
    items = []
    for backend, errors in result.items():
        parts = []
        if "float64" in errors:
            parts.append(f"float64 within {_bound(errors['float64'], _RELATIVE)}")
        if "float32_ulp" in errors:
            parts.append(f"float32 within {_bound(errors['float32_ulp'], _ULP)} ULP")
        name = backend_title(backend)
        text = f"{name} against fifty digits: {listed(parts)} of the largest entry."
        finite = all(math.isfinite(float(e)) for e in errors.values() if isinstance(e, int | float))
        items.append(Item("P4", text, "held" if finite else "failed"))
    return items


def _edges(result: Results | None) -> Item:
    text = "Edge cases of the inputs"
    if result:
        text = _promises(result)
    return _item("P5", f"{text}.", result and result["passed"] == result["total"], True)


def _promises(result: Results) -> str:
    """How many promises there are, and for which backend each was checked."""
    broken = {c["name"] for c in result["cases"] if not c["passed"]}
    names = dict.fromkeys(c["name"] for c in result["cases"])
    text = f"{len(names) - len(broken)} of {len(names)} promises at the edges are kept"
    backends = [c["backend"] for c in result["cases"] if "backend" in c]
    counts = [f"{backends.count(b)} checked in {backend_title(b)}" for b in dict.fromkeys(backends)]
    text += f": {listed(counts)}" if counts else ""
    limited = dict.fromkeys(c["name"] for c in result.get("limitations", ()))
    return text + (f"; not kept in floating point: {listed(limited)}" if limited else "")


def _mutants(result: Results | None) -> Item:
    if not result:
        return Item("P6", "Errors planted on purpose.", "not run")
    total = result["total"]
    text = f"{result['killed']} of {total} errors planted on purpose were found"
    names = {"killed_by_proof": "by the proof", "killed_exactly": "by the exact check"}
    ways = [f"{result[key]} {way}" for key, way in names.items() if key in result]
    text += f", {listed(ways)}" if ways else ""
    killed = all(result.get(key, total) == total for key in ("killed", *names))
    return Item("P6", f"{text}.", "held" if killed else "failed")


def _assumed(subject: Subject) -> list[Item]:
    where = "inputs lie where the layer is defined; "
    real = f"Arithmetic is that of the real numbers; {'' if subject.is_optimizer else where}"
    texts = [f"{real}rounding is checked, not proved."]
    bounded = [item for item in subject.inputs if item.domain in _DOMAINS]
    texts += [f"{item.name} {_DOMAINS[item.domain]}." for item in bounded]
    texts += [f"Fact {fact.name}: {fact.text}." for fact in subject.facts]
    texts += [f"Convention: {text}." for text in subject.conventions]
    return [Item("", text) for text in texts]


def _bound(error: object, steps: Iterable[float]) -> str:
    """A bound for a measured error, coarse enough to be the same on every machine."""
    value = float(str(error))
    return next((f"{step:g}" for step in steps if value <= step), "nothing")


def power_of_ten(value: float) -> str:
    """The next power of ten that is not smaller."""
    return f"1e{math.ceil(math.log10(value) - 1e-9)}"


def shapes(result: Results) -> str:
    return listed(str(size).replace("x", "×") for size in result.get("sizes", ()))


def backend_title(backend: str) -> str:
    return {"numpy": "NumPy", "cpp": "C++"}.get(backend, backend)


def listed(names: Iterable[object]) -> str:
    """A, B and C."""
    texts = [str(name) for name in names]
    return " and ".join([", ".join(texts[:-1]), texts[-1]] if len(texts) > 1 else texts)


def sentence(text: str) -> str:
    """With a capital, unless it begins with a formula."""
    return text[:1].upper() + text[1:] if text.split(" ")[0].isalpha() else text
