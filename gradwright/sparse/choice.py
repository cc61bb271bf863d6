"""Which support a layer gets: what `MLP(..., density=..., support=...)` says, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from gradwright.kernels import unknown, whole
from gradwright.sparse import supports
from gradwright.sparse.supports import Support

if TYPE_CHECKING:
    from gradwright.specification import LayerSpecification

GIVEN = "given"
_OF_NETWORKS = ("erdos_renyi", "erdos_renyi_kernel")
_PARAMETERS: dict[str, tuple[str, ...]] = {
    "uniform": (), "erdos_renyi": (), "erdos_renyi_kernel": (), "n_of_m": ("n", "m"),
    "blocks": ("height", "width"), GIVEN: (),
}  # fmt: skip


@dataclass(frozen=True)
class Choice:
    """The support of one layer: how it is drawn, or the pattern itself."""

    density: float
    name: str | None = None  # None: dense, or uniform below density 1
    parameters: Mapping[str, int] = field(default_factory=dict)
    pattern: Support | None = None


def choose(sizes: Sequence[int], densities: Sequence[float], support: Any) -> list[Choice]:
    """The choice of every layer.

    support: None, a name, (name, {parameter: value}) or a `Support`; or a list with one a layer.
    """
    shapes = list(zip(sizes[1:], sizes[:-1], strict=True))
    given = support if isinstance(support, list) else [support] * len(shapes)
    if len(given) != len(shapes):
        raise ValueError(f"expected {len(shapes)} supports, one a layer, got {len(given)}")
    if _name(support) in _OF_NETWORKS:
        densities = _erdos_renyi(sizes, densities, support)
    elif any(_name(item) in _OF_NETWORKS for item in given):
        raise ValueError("erdos_renyi chooses the densities of all layers; give it alone, not in a list")
    found = []
    for number, layer in enumerate(zip(shapes, densities, given, strict=True), start=1):
        try:
            found.append(_choice(*layer))
        except (TypeError, ValueError) as error:
            raise type(error)(f"layer {number}: {error}") from None
    return found


def check(where: str, layer: LayerSpecification) -> None:
    """Refuse a support that is not known, or whose parameters do not fit the layer."""
    if layer.support is None:
        if layer.support_parameters:
            raise ValueError(f"{where}: parameters of a support, but no support")
        return
    if layer.support not in _PARAMETERS:
        known = _PARAMETERS.keys() - {GIVEN}
        raise ValueError(f"{where}: {unknown('support', layer.support, known)}")
    wanted = _PARAMETERS[layer.support]
    if set(layer.support_parameters) != set(wanted):
        expected = f"the parameters {', '.join(wanted)}" if wanted else "no parameters"
        raise ValueError(f"{where}: {layer.support} has {expected}, got {layer.support_parameters}")
    for name, value in layer.support_parameters.items():
        if not whole(value) or value < 0:
            raise ValueError(f"{where}: {layer.support}: {name} is {value!r}, expected a whole number")


def draw(layer: LayerSpecification, rng: np.random.Generator) -> Support:
    """A random support of a sparse layer."""
    shape, given = (layer.outputs, layer.inputs), layer.support_parameters
    if layer.support == GIVEN:
        raise ValueError("the support of a layer was given: give the parameters of the network too")
    if layer.support == "n_of_m":
        return supports.n_of_m(shape, given["n"], given["m"], rng)
    if layer.support == "blocks":
        return supports.blocks(shape, (given["height"], given["width"]), layer.density, rng)
    return supports.uniform(shape, layer.density, rng)


def _name(support: Any) -> str | None:
    if isinstance(support, tuple) and len(support) == 2:
        support = support[0]
    return support if isinstance(support, str) else None


def _erdos_renyi(sizes: Sequence[int], densities: Sequence[float], support: Any) -> list[float]:
    if len(set(densities)) != 1:
        raise ValueError("erdos_renyi chooses the densities of the layers; give the network's alone")
    name, parameters = _name(support), _parameters(support)
    wanted = {"kernels"} if name == "erdos_renyi_kernel" else set()
    if set(parameters) != wanted:
        expected = "the parameter kernels" if wanted else "no parameters"
        raise ValueError(f"{name} has {expected}, got {parameters}")
    return supports.erdos_renyi(sizes, densities[0], parameters.get("kernels"))


def _parameters(support: Any) -> dict[str, Any]:
    given = support[1] if isinstance(support, tuple) else {}
    if not isinstance(given, Mapping):
        kind = type(given).__name__
        raise TypeError(f"{support[0]}: parameters are {kind}, expected {{parameter: value}}")
    return dict(given)


def _choice(shape: tuple[int, int], density: float, support: Any) -> Choice:
    total = shape[0] * shape[1]
    if isinstance(support, Support):
        if support.shape != shape:
            raise ValueError(f"expected a support of shape {shape}, got {support.shape}")
        # anybody can make one of any arrays, and the engine looks where they say
        pattern = supports.from_csr(shape, support.indptr, support.indices)
        _agree(density, pattern.count / total)
        return Choice(pattern.count / total, GIVEN, {}, pattern)
    name = _name(support)
    if support is not None and name is None:
        raise TypeError(
            f"support is {type(support).__name__}, expected a name, (name, {{parameter: "
            "value}) or a Support, such as gradwright.sparse.largest(W, 0.1); or a list with one a layer"
        )
    if name is None:
        return Choice(density)
    if name == GIVEN:
        raise ValueError("give the support itself, made by gradwright.sparse.from_csr or another")
    parameters = _parameters(support)
    if name == "n_of_m" and set(parameters) == {"n", "m"}:
        n, m = parameters["n"], parameters["m"]
        supports.check_groups(shape, n, m)
        _agree(density, n / m)
        return Choice(n / m, name, parameters)
    if name == "blocks" and set(parameters) == {"height", "width"}:
        size = parameters["height"] * parameters["width"]
        supports.check_blocks(shape, (parameters["height"], parameters["width"]))
        return Choice(round(density * (total // size)) * size / total, name, parameters)
    parameters.pop("kernels", None)
    return Choice(density, name, parameters)


def _agree(given: float, own: float) -> None:
    """A density is not given twice."""
    if given not in (1.0, own):
        raise ValueError(f"the support has density {own:g}, but density is {given:g}")
