"""The NumPy target: one module a layer, which imports NumPy alone and can be copied anywhere.

Input: a `Derivation`. Output: the source of `generated/numpy/<layer>.py`. Decisions about values,
passes and names were made in `lower` and `schedule`; here they are written down.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from .. import expression as ex
from ..derivation import Derivation
from ..expression import Shape
from ..program import Input, Program, needs_two_samples
from ..routine import Routine
from ..schedule import width
from ..sparse import ENTRIES, PATTERN_ARGUMENTS, face_arguments, pattern_of
from ..special_functions import erf_coefficients, erfc_coefficients
from ..stable import StableScalar
from ..templates import environment, relative_source
from .heading import claims, equation_lines
from .numpy_body import Body, only_in_blocks
from .numpy_function import array_function
from .numpy_printer import NumpyPrinter

_DEPENDENCIES = {
    "_targets": ("_OneHot",), "_sampled_product": ("_entry_blocks",), "_sparse_product": ("_entry_blocks",),
    "_pattern": ("_index_array", "_rising"),
    "_check": ("_checked", "_dtype", "_disagreement", "_in_row_order"), "_deliver": ("_check_out",),
    "_result": ("_check_out",), "_erfc": ("_polynomial",), "_erf": ("_erfc", "_polynomial"),
    "_positive": ("_number",), "_nonnegative": ("_number",), "_unit": ("_number",), "_share": ("_number",),
    "_real": ("_number",), "_target_sum": ("_target_product",),
}  # fmt: skip
# Entries; one megabyte of float32. Smaller blocks lose more in calls than they gain in the cache;
# where several values live at once, memory counts for more.
BLOCK, SMALL_BLOCK = 262144, 65536
_HELPER_ORDER = (
    "_targets", "_OneHot", "_check", "_checked", "_dtype", "_disagreement", "_in_row_order",
    "_positive", "_nonnegative", "_unit", "_share", "_real", "_number", "_scale", "_buffers", "_result",
    "_deliver", "_check_out", "_row_blocks", "_shift", "_row_sums", "_first", "_means", "_difference",
    "_first_maximum", "_target_sum", "_target_product", "_bounded", "_with_nan", "_sigmoid", "_softplus",
    "_erf", "_erfc", "_polynomial", "_pattern", "_index_array", "_rising", "_sparse_product", "_sampled_product",
    "_by_columns", "_entry_blocks",
)  # fmt: skip


def render(derivation: Derivation) -> dict[str, str]:
    """Relative path under generated/numpy -> text."""
    return {f"{derivation.name}.py": _Module(derivation).source()}


def render_package(derivations: Iterable[Derivation]) -> dict[str, str]:
    """The package's __init__: one name a layer."""
    names = sorted(d.name for d in derivations)
    template = environment().get_template("numpy/package.py.j2")
    return {"__init__.py": template.render(names=names)}


@dataclass(frozen=True)
class _Face:
    """A public function: its signature, what it returns, its docstring and its lines."""

    signature: str
    returns: str
    doc: str
    body: tuple[str, ...]


class _Module:
    def __init__(self, derivation: Derivation) -> None:
        self._derivation = derivation
        self._kernel = derivation.face
        self._program: Program = self._kernel.program
        pattern = pattern_of(self._program)
        self._pattern = None if pattern is None else pattern.name
        self._functions: dict[str, StableScalar] = {}
        self._broadcasting: set[str] = set()
        self._helpers: set[str] = {"_check"}

    def source(self) -> str:
        forward, backward, vjp = self._forward(), self._backward(), self._vjp()
        functions = [
            array_function(name, f, self._helpers, name not in self._broadcasting)
            for name, f in self._functions.items()
        ]
        for name in sorted(self._helpers):
            self._helpers.update(_DEPENDENCIES.get(name, ()))
        template = environment().get_template("numpy/helpers.py.j2").module
        helpers = [str(getattr(template, name[1:])()) for name in _HELPER_ORDER if name in self._helpers]
        several = self._program.is_loss or any(f["temporaries"] > 1 for f in functions)
        helpers += self._tables(SMALL_BLOCK if several else BLOCK)
        return environment().get_template("numpy/layer.py.j2").render(
            name=self._program.name, title=self._program.title, source=relative_source(self._program),
            equations=equation_lines(self._derivation), claims=claims(self._derivation),
            tuples=self._tuples(), forward=forward, backward=backward, vjp=vjp,
            output=self._program.output_name, functions=functions, helpers=helpers,
        )  # fmt: skip

    def _tables(self, block: int) -> list[str]:
        precise = sorted(self._kernel.precise & set(self._kernel.saved))
        tables = ["_DOUBLE = np.dtype(np.float64)", "_DTYPES = (np.dtype(np.float32), _DOUBLE)"]
        if self._helpers & {"_row_blocks", "_targets"}:
            tables.append(f"_BLOCK = {block}")
        tables += [f"_FLOAT64 = frozenset({{{', '.join(map(repr, precise))}}})" if precise
                  else "_FLOAT64: frozenset[str] = frozenset()"]  # fmt: skip
        for name, helper, values in (
            ("_ERFC", "_erfc", erfc_coefficients()), ("_ERFC_FLOAT32", "_erfc", erfc_coefficients("float32")),
            ("_ERF", "_erf", erf_coefficients()),
        ):  # fmt: skip
            if helper in self._helpers:
                lines = "".join(f"    {value!r},\n" for value in values)
                tables.append(f"{name} = (\n{lines})")
        return tables

    def _tuples(self) -> list[dict[str, Any]]:
        tuples = []
        if self._kernel.extra_results:
            doc = "The output, and what the backward pass needs besides inputs and output."
            fields = [self._program.output_name, *self._kernel.extra_results]
            tuples.append({"name": "Forward", "doc": doc, "fields": fields})
        if len(self._program.variables) > 1:
            doc = "The gradients in the order of the arguments."
            tuples.append({"name": "Gradients", "doc": doc, "fields": self._kernel.gradient_names})
        return tuples

    def _forward(self) -> _Face:
        program, routine = self._program, self._kernel.forward
        arrays = [(i.name, i.shape) for i in program.inputs if i.is_array]
        body = self._opening(arrays, routine)
        body += self._hyperparameter_checks([i for i in program.inputs if not i.is_array])
        body += self._data_checks() + self._scale_line(routine)
        body += self._routine(routine, "Forward" if self._kernel.extra_results else None)
        doc = _face_doc(
            f"{program.title}", [i for i in program.inputs if i.is_array],
            "Returns " + self._returned(routine.results) + ".",
            self._raises(),
        )
        return _Face(self._signature(_parameters(program)), self._returns(routine, "Forward"),
                     doc, tuple(body))  # fmt: skip

    def _backward(self) -> _Face:
        routine = self._kernel.backward
        hyper = {i.name for i in self._kernel.backward_hyperparameters()}
        arrays = [(n, s) for n, s in routine.arguments if n not in hyper and n != "scale"]
        body = self._opening(arrays, routine)
        body += self._hyperparameter_checks(self._kernel.backward_hyperparameters())
        body += self._scale_line(routine)
        multiple = len(self._program.variables) > 1
        body += self._routine(routine, "Gradients" if multiple else None)
        parameters = [
            f"{name}: {'Array' if width(s) else 'float'}"
            for n, s in arrays for name in face_arguments([n], self._pattern)
        ]  # fmt: skip
        parameters += [_parameter(i) for i in self._kernel.backward_hyperparameters()]
        saved = ", ".join(face_arguments([n for n, _ in arrays[1:]], self._pattern)) or "nothing"
        doc = (
            f"The gradients from the upstream gradient D{self._program.output_name}.\n\n"
            f"Needs {saved} as `forward` got or returned them. Returns "
            f"{self._returned(routine.results)}."
        )
        return _Face(self._signature(parameters), self._returns(routine, "Gradients"), doc,
                     tuple(body))  # fmt: skip

    def _vjp(self) -> _Face:
        program, kernel = self._program, self._kernel
        given = face_arguments([i.name for i in program.inputs], self._pattern)
        options = ["reduction=reduction"] if program.divisor is not None else []
        call = ", ".join([*given, *options])
        output = program.output_name
        if kernel.extra_results:
            names = ", ".join([output, *kernel.extra_results])
            body = [f"{names} = forward({call})"]
        else:
            body = [f"{output} = forward({call})"]
        upstream = program.upstream
        hyper = [i.name for i in kernel.backward_hyperparameters()]
        arguments = [n for n, _ in kernel.backward.arguments if n not in (*hyper, "scale")]
        scaled = options if any(n == "scale" for n, _ in kernel.backward.arguments) else []
        inner = ", ".join([*face_arguments(arguments, self._pattern), *hyper, *scaled])
        body += ["", f"def pullback({upstream}: Any) -> Any:"]
        if self._is_upstream_free():
            body += [
                f"    if np.shape({upstream}) != {output}.shape:",
                f"        raise ValueError(f\"{{_LAYER}}: expected {upstream} of shape {{{output}.shape}}, \"",
                f"                         f\"got {{np.shape({upstream})}}\")",
            ]
        body += [f"    return backward({inner})", "", f"return {output}, pullback"]
        parameters = _parameters(program)
        signature = ", ".join([*parameters, *self._reduction_parameter()])
        return _Face(signature, "", "", tuple(body))

    def _is_upstream_free(self) -> bool:
        """Whether no other argument of backward has all the sizes of the upstream gradient."""
        upstream, *others = self._kernel.backward.arguments
        found = {d for _, shape in others for d in shape}
        return bool(width(upstream[1])) and not set(upstream[1]) <= found | {"1"}

    def _reduction_parameter(self) -> list[str]:
        return ["*", 'reduction: str = "mean"'] if self._program.divisor is not None else []

    def _signature(self, parameters: list[str]) -> str:
        options = self._reduction_parameter() or ["*"]
        return ", ".join([*parameters, *options, "out: Any = None"])

    def _returns(self, routine: Routine, name: str) -> str:
        if len(routine.results) > 1:
            return name
        return "Any" if width(routine.shape(routine.results[0])) == 0 else "Array"

    def _returned(self, results: tuple[str, ...]) -> str:
        return " and ".join(", ".join(results).rsplit(", ", 1)) if len(results) > 1 else results[0]

    def _raises(self) -> str:
        return (
            "Raises TypeError for a dtype other than float32 or float64 or for a mixture, and\n"
            "ValueError for shapes or values that do not fit."
        )

    def _opening(self, arrays: list[tuple[str, Shape]], routine: Routine) -> list[str]:
        """Check the arguments, put them in row order, read off the sizes."""
        lines = []
        checked = [(n, tuple(d for d in s if d != "1")) for n, s in arrays if width(s)]
        scalars = [n for n, s in arrays if not width(s)]
        others = {d for n, dims in checked if not self._is_target(n) for d in dims}
        targets = [
            (n, dims) for n, dims in checked
            if self._is_target(n) and len(dims) == 2 and set(dims) <= others
        ]  # fmt: skip
        checked = [item for item in checked if item not in targets and item[0] != self._pattern]
        names = ", ".join(name for name, _ in checked)
        wanted = _sizes_used(routine, self._program) | self._sizes_refused(routine)
        wanted |= {d for _, dims in targets for d in dims}
        pattern: tuple[str, ...] = ()
        if self._pattern is not None and self._pattern in dict(arrays):
            pattern = (*dict(arrays)[self._pattern], ENTRIES)
        met = dict.fromkeys(d for _, dims in checked for d in dims)
        sizes = ", ".join(d if d in wanted or d in pattern else "_" for d in met)
        lines.append(f"[{names}], dtype, [{sizes}] = _check(")
        for name, dims in checked:
            inner = ", ".join(f'"{d}"' for d in dims) + ("," if len(dims) == 1 else "")
            lines.append(f'    ("{name}", {name}, ({inner})),')
        lines.append(")")
        for name in scalars:
            self._helpers.add("_number")
            lines.append(f'{name} = dtype.type(_number("{name}", {name}))')
        if pattern:
            self._helpers.add("_pattern")
            given = ", ".join(d if d in met else "None" for d in pattern)
            lines.append(f"indices, indptr = _pattern(indices, indptr, {given})")
            rows, _, entries = pattern
            counted = {rows: "len(indptr) - 1", entries: "len(indices)"}
            lines += [f"{d} = {n}" for d, n in counted.items() if d in wanted and d not in met]
        for name, dims in targets:
            self._helpers.add("_targets")
            shape = ", ".join(dims)
            whole = "" if only_in_blocks(routine, name) else "[:]"
            owners = " and ".join(n for n, d in checked if set(d) & set(dims))
            call = f'_targets("{name}", {name}, ({shape}), dtype, "{owners}")'
            lines.append(f"{name} = {call}{whole}")
        return lines

    def _scale_line(self, routine: Routine) -> list[str]:
        if not any(n == "scale" for n, _ in routine.arguments):
            return []
        self._helpers.add("_scale")
        assert self._program.divisor is not None
        return [f"scale = _scale(reduction, {NumpyPrinter(frozenset()).show(self._program.divisor)})"]

    def _is_target(self, name: str) -> bool:
        return any(i.name == name and i.role == "target" for i in self._program.inputs)

    def _hyperparameter_checks(self, items: Iterable[Input]) -> list[str]:
        lines = []
        for item in items:
            self._helpers.add(f"_{item.domain}")
            lines.append(f'{item.name} = _{item.domain}("{item.name}", {item.name})')
        return lines

    def _sizes_refused(self, routine: Routine) -> set[str]:
        """The number of samples, where forward refuses some."""
        refuses = self._program.is_loss or needs_two_samples(self._program)
        return {self._program.sizes[0]} if refuses and routine is self._kernel.forward else set()

    def _data_checks(self) -> list[str]:
        """Domains of data, and the smallest batch."""
        lines = []
        for item in self._program.inputs:
            if item.is_array and item.domain in ("positive", "nonnegative"):
                sign, text = ("<=", "> 0") if item.domain == "positive" else ("<", ">= 0")
                found = f"got {{{item.name}.min()}}"
                lines += _refusal(f"({item.name} {sign} 0).any()", f"{item.name} {text}", found)
        arrays = [i for i in self._program.inputs if i.is_array and width(i.shape)]
        samples = self._program.sizes[0]
        data = next(i for i in arrays if samples in i.shape)
        count, found = samples, f"got {data.name} {{{data.name}.shape}}"
        if self._program.is_loss:
            lines += _refusal(f"{count} == 0", "at least one sample", found)
        if needs_two_samples(self._program):
            lines += _refusal(f"{count} == 1", "more than one sample", found)
        return lines

    def _routine(self, routine: Routine, tuple_name: str | None) -> list[str]:
        body = Body(
            routine, self._kernel.precise, self._functions, self._helpers, self._broadcasting,
            self._pattern,
        )  # fmt: skip
        return body.lines(tuple_name)


def _refusal(condition: str, wanted: str, found: str) -> list[str]:
    """Lines that refuse a value."""
    message = f'f"{{_LAYER}}: expected {wanted}, {found}"'
    return [f"if {condition}:", f"    raise ValueError({message})"]


def _parameters(program: Program) -> list[str]:
    return [
        text for i in program.inputs
        for text in ([f"{n}: Array" for n in PATTERN_ARGUMENTS] if i.role == "pattern" else [_parameter(i)])
    ]  # fmt: skip


def _parameter(item: Input) -> str:
    if item.is_array:
        return f"{item.name}: {'Array' if width(item.shape) else 'float'}"
    default = "" if item.default is None else f" = {item.default!r}"
    return f"{item.name}: float{default}"


def _sizes_used(routine: Routine, program: Program) -> set[str]:
    used: set[str] = set()
    for statement in routine.statements:
        for node in ex.topological(statement.expr):
            used |= set(node.shape) | ({str(node.attr)} if node.op == "size" else set())
    if program.divisor is not None and any(n == "scale" for n, _ in routine.arguments):
        for node in ex.topological(program.divisor):
            used |= {str(node.attr)} if node.op == "size" else set()
    return used


def _face_doc(title: str, inputs: list[Input], returns: str, raises: str) -> str:
    rows = []
    for item in inputs:
        if item.role == "pattern":
            rows.append(f"indices: ({ENTRIES},), indptr: ({item.shape[0]} + 1,): CSR, integers")
            continue
        dims = ", ".join(d for d in item.shape if d != "1")
        shape = f"({dims},)" if width(item.shape) == 1 else f"({dims})"
        kind = {"target": "targets, or integer labels (N,)", "constant": "data without a gradient"}
        note = f", {kind[item.role]}" if item.role in kind and width(item.shape) == 2 else ""
        rows.append(f"{item.name}: {shape}{note}")
    arguments = "\n".join(rows)
    return f"{title}\n\n{arguments}\n\n{returns} Buffers for the results may be given in `out`.\n{raises}"
