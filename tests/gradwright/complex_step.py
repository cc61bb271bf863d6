"""An independent gradient of a whole network: complex steps through the scripts' definitions.

The forward equations of `derivations/` are evaluated on complex numbers; the derivative along a
direction v is Im L(theta + i h v) / h, without a difference and hence to full precision. Neither
the derived gradients nor the generated kernels take part.
"""

from collections.abc import Mapping
from functools import cache

import numpy as np
import sympy
from scipy.special import erf

from gradwright.backends import BATCHNORM_EPSILON
from gradwright.backends.masks import dropout_mask
from gradwright.codegen import expression as ex
from gradwright.codegen.inputs import built_in_scripts
from gradwright.codegen.scripts import load_script

STEP = 1e-30
_REPEATS = {"row_repeat", "column_repeat", "scalar_repeat"}
_AXES = {"rows": 1, "columns": 0, "elements": None}


@cache
def programs():
    found = (item for path in built_in_scripts() for item in load_script(path))
    return {item.name: item.program() for item in found if hasattr(item, "program")}


@cache
def scalar_function(function):
    expr = function.expr.rewrite(sympy.Piecewise)
    return sympy.lambdify(function.variables, expr, modules=[{"erf": erf}, "numpy"])


def evaluate(name, scale=1.0, **values):
    """The output of a script's layer for these inputs, which may be complex."""
    program, known, sizes = programs()[name], {}, {"1": 1}
    for item in program.inputs:
        if item.name in values or item.default is not None:
            array = np.asarray(values.get(item.name, item.default))
            shape = (1, -1) if item.shape[0] == "1" else (-1, 1) if array.ndim < 2 else array.shape
            known[item.name] = array.reshape(shape)
            sizes.update(zip(item.shape, known[item.name].shape, strict=True))
    sizes["1"] = 1
    known["scale"] = np.array([[scale]])
    nodes = {}
    for node in ex.topological(program.output):
        args = [nodes[arg] for arg in node.args]
        nodes[node] = _value(node, args, known, sizes)
    result = nodes[program.output]
    if program.divisor is not None:
        divisor = {}
        for node in ex.topological(program.divisor):
            args = [divisor[arg] for arg in node.args]
            divisor[node] = _value(node, args, known, sizes)
        return result / divisor[program.divisor]
    return result


def _value(node, args, known, sizes):
    op = node.op
    if op == "symbol":
        return known[node.attr]
    if op == "number":
        return np.array([[float(node.attr)]])
    if op == "size":
        return np.array([[float(sizes[node.attr])]])
    if op in _REPEATS:
        return np.broadcast_to(args[0], (sizes[node.rows], sizes[node.cols]))
    if op == "apply":
        result = scalar_function(node.attr)(*args)
        return np.broadcast_to(result, np.broadcast_shapes(*(a.shape for a in args)))
    if op == "power":
        return args[0] ** float(node.attr)
    if op in ("exp", "log"):
        return getattr(np, op)(args[0])
    if op.endswith(("_sum", "_mean")):
        axis, how = op.rsplit("_", 1)
        return getattr(np, how)(args[0], axis=_AXES[axis], keepdims=True)
    return {
        "add": lambda: args[0] + args[1],
        "hadamard": lambda: args[0] * args[1],
        "matmul": lambda: args[0] @ args[1],
        "transpose": lambda: args[0].T,
    }[op]()


def loss(spec, parameters: Mapping, X, T, step=0):
    """The training loss of a specification's network, composed of script definitions."""
    value = X
    for number, layer in enumerate(spec.layers, start=1):
        prefix = f"layer{number}."
        own = {k.removeprefix(prefix): v for k, v in parameters.items() if k.startswith(prefix)}
        value = evaluate("linear", X=value, W=own.pop("W"), b=own.pop("b"))
        if layer.batchnorm:
            gamma, beta = own.pop("gamma"), own.pop("beta")
            value = evaluate(
                "batchnorm", X=value, gamma=gamma, beta=beta, epsilon=BATCHNORM_EPSILON
            )
        last = number == len(spec.layers)
        if layer.activation != "identity" and not (last and spec.loss_on_logits):
            argument = programs()[layer.activation].inputs[0].name
            value = evaluate(layer.activation, **{argument: value}, **own, **layer.parameters)
        if layer.dropout:
            mask = dropout_mask(spec.seed, number, step, value.shape, layer.dropout, np.float64)
            value = evaluate("dropout", X=value, R=mask)
    kernel = spec.loss_kernel.removesuffix("_normalised")  # the definition is the same
    argument = programs()[kernel].inputs[0].name
    if T.ndim == 1:
        T = np.eye(spec.sizes[-1])[T]
    return evaluate(kernel, **{argument: value}, T=T, **spec.loss_parameters).item()


def derivative(spec, parameters, direction, X, T):
    """The derivative of the training loss along a direction of all parameters."""
    moved = {name: a + 1j * STEP * direction[name] for name, a in parameters.items()}
    return loss(spec, moved, X, T).imag / STEP
