"""Sparse kernels under the checks of dense ones, and what only their index arrays promise.

`DenseFace` gives a sparse backend the arguments and results of its dense definition: what is checked
of arithmetic is checked against the proved equations. `SparseSubject` is the layer as its callers
see it: what is promised of arguments is checked there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..derivation import Derivation
from ..program import Input
from ..routine import Routine
from ..sparse import PATTERN_ARGUMENTS, VALUES, pattern_of
from .edges.subject import Arguments, Edge, Subject, raises, require, same_bits, same_results
from .inputs import Sample

Array = np.ndarray[Any, Any]
_ROW_STARTS = "row starts"


def dense_faces(derivation: Derivation, backends: Mapping[str, Any]) -> dict[str, Any]:
    """The backends with the arguments and results of the dense definition."""
    if derivation.stored is None:
        return dict(backends)
    return {
        name: (DenseFace if hasattr(backend, "vjp") else BareDenseFace)(derivation, backend)
        for name, backend in backends.items()
    }


@dataclass(frozen=True)
class BareDenseFace:
    """`forward` and `backward` of the dense definition by a sparse kernel."""

    derivation: Derivation
    backend: Any

    def forward(self, *given: Any, **options: Any) -> Any:
        """The output for the dense matrix and its pattern."""
        names = [i.name for i in self.derivation.program.inputs]
        return self.backend.forward(*self._face(names, given), **options)

    def backward(self, *given: Any, **options: Any) -> Any:
        """The gradients; that of the matrix is 0 where it has no entry."""
        names = [n for n, _ in self.derivation.kernel.backward.arguments if n != "scale"]
        gradients = self.backend.backward(*self._face(names, given), **options)
        return self._scattered(gradients, dict(zip(names, given, strict=False)))

    def _parts(self) -> tuple[str, str]:
        """The names of the pattern and of the matrix on it."""
        pattern = pattern_of(self.derivation.program)
        assert pattern is not None
        inputs = zip(self.derivation.program.inputs, self.derivation.face.program.inputs, strict=True)
        return pattern.name, next(i.name for i, stored in inputs if stored.name == VALUES)

    def _face(self, names: list[str], given: tuple[Any, ...]) -> list[Any]:
        pattern, matrix = self._parts()
        known = dict(zip(names, given, strict=False))
        rows, columns = np.nonzero(known[pattern])
        found: list[Any] = []
        for name in list(names)[: len(given)]:
            if name == pattern:
                starts = np.searchsorted(rows, np.arange(known[pattern].shape[0] + 1))
                found += [columns.astype(np.int32), starts.astype(np.int32)]
            elif name == matrix:
                found.append(np.ascontiguousarray(known[matrix][rows, columns]))
            else:
                found.append(known[name])
        return found

    def _scattered(self, gradients: Any, known: Mapping[str, Any]) -> Any:
        pattern, matrix = self._parts()
        names = [f"D{v.name}" for v in self.derivation.program.variables]
        found = list(gradients) if len(names) > 1 else [gradients]
        place = names.index(f"D{matrix}")
        dense = np.zeros(known[pattern].shape, found[place].dtype)
        dense[np.nonzero(known[pattern])] = found[place]
        found[place] = dense
        return tuple(found) if len(names) > 1 else dense


class DenseFace(BareDenseFace):
    """The same with `vjp`."""

    def vjp(self, *given: Any, **options: Any) -> Any:
        """The output and its pullback."""
        names = [i.name for i in self.derivation.program.inputs]
        output, pullback = self.backend.vjp(*self._face(names, given), **options)
        known = dict(zip(names, given, strict=False))
        return output, lambda upstream: self._scattered(pullback(upstream), known)


@dataclass(frozen=True)
class SparseSubject(Subject):
    """A sparse layer as its callers see it: values and index arrays."""

    definition: Derivation | None = None

    @classmethod
    def of(cls, derivation: Derivation) -> SparseSubject:
        """The layer with its index arrays as inputs."""
        face = derivation.face
        pattern = pattern_of(face.program)
        assert pattern is not None
        shapes = {PATTERN_ARGUMENTS[0]: ("1", "P"), PATTERN_ARGUMENTS[1]: ("1", _ROW_STARTS)}
        index = [Input(n, shapes[n], "index") for n in PATTERN_ARGUMENTS]
        inputs = [
            given for i in face.program.inputs for given in (index if i.role == "pattern" else [i])
        ]

        def flat(routine: Routine) -> Routine:
            arguments = [
                given for n, shape in routine.arguments
                for given in (shapes.items() if n == pattern.name else [(n, shape)])
            ]  # fmt: skip
            return replace(routine, arguments=tuple(arguments))

        program = replace(face.program, inputs=tuple(inputs))
        kernel = replace(
            face, program=program, forward=flat(face.forward), backward=flat(face.backward)
        )
        return cls(replace(derivation, program=program, kernel=kernel), definition=derivation)

    @property
    def dense(self) -> Subject:
        """The layer by its definition."""
        assert self.definition is not None
        return Subject(self.definition)

    @property
    def arrays(self) -> list[Input]:
        return [i for i in super().arrays if i.role != "index"]

    def sample(self, rows: int = 3, **changed: int) -> Sample:
        return self.dense.sample(rows, **changed)

    def arguments(self, sample: Sample, dtype: str = "float64") -> Arguments:
        return self._stored(self.dense.arguments(sample, dtype))

    def tall_arguments(self) -> Arguments:
        return self._stored(self.dense.tall_arguments())

    def _stored(self, dense: Arguments) -> Arguments:
        adapter = BareDenseFace(self.dense.derivation, None)
        names = [i.name for i in self.dense.program.inputs]
        values = adapter._face(names, tuple(dense[n] for n in names))
        found = dict(zip([i.name for i in self.program.inputs], values, strict=True))
        return found | {self.program.upstream: dense[self.program.upstream]}


# What index arrays promise


def _index_types(subject: Subject, backend: Any) -> None:
    arguments = subject.arguments(subject.sample())
    wanted = subject.run(backend, arguments)
    for dtype in ("int64", "uint32", "int16"):
        given = {n: arguments[n].astype(dtype) for n in PATTERN_ARGUMENTS}
        same_results(subject, wanted, subject.run(backend, {**arguments, **given}), f"{dtype} indices")
    for name in PATTERN_ARGUMENTS:
        strided = np.repeat(arguments[name], 2)[::2]
        found = subject.run(backend, {**arguments, name: strided})
        same_results(subject, wanted, found, f"strided {name}")
        for wrong in (arguments[name].astype(float), arguments[name].tolist(), None, "text"):
            call = _call(subject, backend, {**arguments, name: wrong})
            raises(subject, TypeError, [name], call, f"{subject.name}: {name} = {wrong!r}")
        call = _call(subject, backend, {**arguments, name: arguments[name][None]})
        raises(subject, ValueError, [name], call, f"{subject.name}: {name} with two dimensions")


def _call(subject: Subject, backend: Any, arguments: Arguments) -> Callable[[], Any]:
    return lambda: subject.run(backend, arguments)


def _broken_patterns(subject: Subject, backend: Any) -> None:
    """Rows 0, 1, 2 ... with two entries each; one of them is broken."""
    arguments, row = _regular(subject), 1
    indices, indptr = (arguments[n] for n in PATTERN_ARGUMENTS)
    columns = arguments_columns(subject, arguments)

    def broken(name: str, place: int, value: int) -> dict[str, Any]:
        changed = arguments[name].copy()
        changed[place] = value
        return {**arguments, name: changed}

    wrong = {
        "an index above the columns": (broken("indices", 2 * row + 1, columns), "indices"),
        "a negative index": (broken("indices", 2 * row, -1), "indices"),
        "an index of 2^31 - 1": (broken("indices", 2 * row + 1, 2**31 - 1), "indices"),
        "a duplicate entry": (broken("indices", 2 * row + 1, indices[2 * row]), "indices"),
        "row starts that fall": (broken("indptr", row + 1, 0), "indptr"),
    }
    for what, (given, name) in wrong.items():
        call = _call(subject, backend, given)
        raises(subject, ValueError, [f"row {row}", name], call, f"{subject.name}: {what}")
    for what, given in {
        "a first row start of 1": broken("indptr", 0, 1),
        "a last row start beyond the entries": broken("indptr", len(indptr) - 1, len(indices) + 1),
        "no row starts": {**arguments, "indptr": indptr[:0]},
        "a row start too few": {**arguments, "indptr": indptr[:-1]},
        "an index too few": {**arguments, "indices": indices[:-1]},
    }.items():
        call = _call(subject, backend, given)
        raises(subject, ValueError, ["ind"], call, f"{subject.name}: {what}")


def _unsorted_columns(subject: Subject, backend: Any) -> None:
    """Entries of a row may come in any order, as in SciPy; results are those of the same matrix."""
    arguments = _regular(subject)
    wanted = subject.run(backend, arguments)
    order = np.arange(len(arguments["indices"])).reshape(-1, 2)[:, ::-1].reshape(-1)
    given = {n: np.ascontiguousarray(arguments[n][order]) for n in (VALUES, "indices")}
    found = subject.run(backend, {**arguments, **given})
    for name, value in wanted.items():
        turned = found[name][order] if name == f"D{VALUES}" else found[name]
        require(np.allclose(turned, value, rtol=1e-14, atol=1e-14),
                f"{subject.name}: unsorted columns change {name}")  # fmt: skip


def _empty_patterns(subject: Subject, backend: Any) -> None:
    """Without entries what is left is the bias; a row without entries is no exception."""
    arguments = _regular(subject)
    none = {n: arguments[n][:0] for n in (VALUES, "indices")}
    given = {**arguments, **none, "indptr": np.zeros_like(arguments["indptr"])}
    results = subject.run(backend, given)
    require(results[f"D{VALUES}"].shape == (0,), f"{subject.name}: gradients of no entries")
    require(not np.any(results["DX"]), f"{subject.name}: DX without entries")
    one = {n: arguments[n][:2] for n in (VALUES, "indices")}
    starts = np.full_like(arguments["indptr"], 2)
    starts[0] = 0
    first = subject.run(backend, {**arguments, **one, "indptr": starts})
    full = subject.run(backend, arguments)
    require(same_bits(first[f"D{VALUES}"], full[f"D{VALUES}"][:2]), f"{subject.name}: rows without entries")
    require(same_bits(first[subject.program.output_name][:, 1:], results[subject.program.output_name][:, 1:]),
            f"{subject.name}: rows without entries")  # fmt: skip


def _regular(subject: Subject) -> Arguments:
    """Arguments with two entries in every row."""
    arguments = subject.arguments(subject.sample())
    rows, columns = len(arguments["indptr"]) - 1, arguments_columns(subject, arguments)
    rng = np.random.default_rng(3)
    indices = np.concatenate([np.sort(rng.permutation(columns)[:2]) for _ in range(rows)])
    return {
        **arguments, VALUES: rng.normal(size=2 * rows), "indices": indices.astype(np.int32),
        "indptr": np.arange(0, 2 * rows + 1, 2, dtype=np.int32),
    }  # fmt: skip


def arguments_columns(subject: Subject, arguments: Arguments) -> int:
    """The number of columns of the sparse matrix: that of the data."""
    return int(np.shape(arguments[subject.program.inputs[0].name])[1])


def _always(_: Subject) -> bool:
    return True


PATTERNS = (
    Edge("index types", "index arrays of any integers give the same; anything else raises TypeError by name",
         _always, _index_types, face=True),
    Edge("broken patterns", "an index out of range, falling row starts, a duplicate: ValueError naming the row",
         _always, _broken_patterns, face=True),
    Edge("unsorted columns", "entries of a row in any order are the same matrix",
         _always, _unsorted_columns, face=True),
    Edge("empty patterns", "no entries, or rows without any, give the bias and gradients of 0",
         _always, _empty_patterns, face=True),
)  # fmt: skip
