"""What a network is: a frozen description that is valid, comparable and can be written as JSON."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from gradwright import kernels
from gradwright.kernels import check_number
from gradwright.sparse.choice import Choice, choose
from gradwright.sparse.choice import check as check_support

Named = str | tuple[str, Mapping[str, float]] | None
PerLayer = Any  # one value for all hidden layers, or a sequence of one for each

# (output activation, loss) -> the kernel that computes both on logits, accurately
_FUSED = {
    ("softmax", "cross_entropy"): "softmax_cross_entropy",
    ("softmax", "softmax_cross_entropy"): "softmax_cross_entropy",
    ("sigmoid", "binary_cross_entropy"): "binary_cross_entropy",
}
_DEFAULT_LOSS = {"softmax": "cross_entropy", "sigmoid": "binary_cross_entropy"}
_ON_LOGITS = ("softmax_cross_entropy", "binary_cross_entropy")
_MULTICLASS = (
    "softmax_cross_entropy", "softmax_cross_entropy_normalised", "cross_entropy",
    "negative_log_likelihood", "kl_divergence",
)  # fmt: skip
_ALIASES = {"mse": "mean_squared_error", "mae": "mean_absolute_error", "sgd": "gradient_descent"}
DTYPES = ("float32", "float64")


@dataclass(frozen=True)
class LayerSpecification:
    """One layer: `inputs` -> `outputs`, and what follows the linear map."""

    inputs: int
    outputs: int
    activation: str = "identity"
    parameters: Mapping[str, float] = field(default_factory=dict)  # of the activation
    batchnorm: bool = False
    dropout: float = 0.0  # the share of entries that become zero
    density: float = 1.0  # the share of weights that exist; below 1 the layer is sparse
    support: str | None = None  # how the weights' places are drawn; with a name it is sparse too
    support_parameters: Mapping[str, int] = field(default_factory=dict)

    @property
    def sparse(self) -> bool:
        """Whether weights are stored as CSR."""
        return self.density < 1 or self.support is not None

    @property
    def count(self) -> int:
        """The number of weights."""
        return round(self.density * self.inputs * self.outputs)


@dataclass(frozen=True)
class Specification:
    """A network and how it is trained, but for the learning rate and the data."""

    layers: tuple[LayerSpecification, ...]
    loss: str
    loss_parameters: Mapping[str, float] = field(default_factory=dict)
    optimizer: str = "gradient_descent"
    optimizer_parameters: Mapping[str, float] = field(default_factory=dict)
    init: str = "he_normal"
    init_parameters: Mapping[str, float] = field(default_factory=dict)
    weight_decay: float = 0.0
    clip_norm: float | None = None
    label_smoothing: float = 0.0
    dtype: str = "float32"
    seed: int = 0

    @property
    def sizes(self) -> tuple[int, ...]:
        """The widths of the input and of all layers."""
        return (self.layers[0].inputs, *(layer.outputs for layer in self.layers))

    def with_count(self, number: int, count: int) -> Specification:
        """The specification where layer 1, 2, ... has another number of weights."""
        layer = self.layers[number - 1]
        if layer.count == count:
            return self
        density = count / (layer.inputs * layer.outputs)
        other = replace(layer, density=density, support="given", support_parameters={})
        return replace(self, layers=(*self.layers[: number - 1], other, *self.layers[number:]))

    @property
    def loss_kernel(self) -> str:
        """The generated kernel of the loss."""
        return _FUSED.get((self.layers[-1].activation, self.loss), self.loss)

    @property
    def loss_on_logits(self) -> bool:
        """Whether the loss takes what the output activation takes, instead of what it returns."""
        return (self.layers[-1].activation, self.loss) in _FUSED

    @property
    def task(self) -> str:
        """What outputs mean: "multiclass", "binary", "multilabel" or "regression"."""
        if self.loss_kernel in _MULTICLASS:
            return "multiclass"
        if self.loss_kernel in ("binary_cross_entropy", "hinge"):
            return "binary" if self.sizes[-1] == 1 else "multilabel"
        return "regression"

    def to_json(self) -> dict[str, Any]:
        """A dictionary of plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Specification:
        """The specification a dictionary of `to_json` describes; anything else is a ValueError."""
        values = dict(_entries(cls, data, "specification"))
        layers = values.pop("layers", None)
        if not isinstance(layers, Sequence) or isinstance(layers, str) or not layers:
            raise ValueError("specification: expected a list of layers")
        found = tuple(
            LayerSpecification(**_entries(LayerSpecification, layer, f"layer {number}"))
            for number, layer in enumerate(layers, start=1)
        )
        try:
            return validated(cls(layers=found, **values))
        except TypeError as error:
            raise ValueError(f"specification: {error}") from None


def specify(
    layer_sizes: Sequence[int],
    activations: Sequence[Named] | None = None,
    *,
    init: Named = None,
    loss: Named = None,
    optimizer: Named = None,
    batchnorm: PerLayer = False,
    dropout: PerLayer = 0.0,
    density: PerLayer = 1.0,
    support: Any = None,
    weight_decay: float | None = None,
    clip_norm: float | None = None,
    label_smoothing: float = 0.0,
    dtype: Any = "float32",
    seed: int = 0,
) -> Specification:
    """The specification that the arguments of `MLP` describe."""
    sizes = _sizes(layer_sizes)
    count = len(sizes) - 1
    chosen = choices(sizes, density, support)
    named = [_named(item, "activation") for item in _activations(activations, count)]
    options = zip(
        _per_layer("batchnorm", batchnorm, count, False),
        _per_layer("dropout", dropout, count, 0.0),
        strict=True,
    )
    layers = tuple(
        LayerSpecification(
            inputs, outputs, name, parameters, *option, item.density, item.name, item.parameters
        )
        for (inputs, outputs), (name, parameters), option, item in zip(
            itertools.pairwise(sizes), named, options, chosen, strict=True
        )
    )
    default = _DEFAULT_LOSS.get(layers[-1].activation, "half_squared_error")
    loss_name, loss_parameters = _named(loss or default, "loss")
    rule, rule_parameters = _named(optimizer or "gradient_descent", "optimizer")
    if weight_decay is not None and "weight_decay" in kernels.optimizer(rule).hyperparameters:
        check_number("weight_decay", weight_decay, 0, math.inf)
        if "weight_decay" in rule_parameters:
            raise ValueError("weight_decay is given twice: to the network and to its optimizer")
        rule_parameters, weight_decay = rule_parameters | {"weight_decay": weight_decay}, None
    init_name, init_parameters = _named(init or "he_normal", "initialiser")
    found = Specification(
        layers, loss_name, loss_parameters, rule, rule_parameters, init_name, init_parameters,
        _plain(weight_decay or 0.0), _plain(clip_norm), _plain(label_smoothing),
        _dtype_name(dtype), _plain(seed),
    )  # fmt: skip
    return validated(found)


def choices(layer_sizes: Sequence[int], density: PerLayer, support: Any) -> list[Choice]:
    """The supports of all layers, as the arguments of `MLP` describe them."""
    sizes = _sizes(layer_sizes)
    densities = _per_layer("density", density, len(sizes) - 1, 1.0, output_too=True)
    for number, value in enumerate(densities, start=1):
        check_number(f"layer {number}: density", value, 0, 1)
    return choose(sizes, densities, support)


def validated(spec: Specification) -> Specification:
    """The specification, or the error that says what is wrong with it."""
    for number, layer in enumerate(spec.layers, start=1):
        _check_layer(number, layer, last=number == len(spec.layers))
    for one, other in itertools.pairwise(spec.layers):
        if one.outputs != other.inputs:
            raise ValueError(f"a layer has {one.outputs} outputs, the next {other.inputs} inputs")
    _check_loss(spec)
    rule = kernels.optimizer(spec.optimizer)
    kernels.check_hyperparameters(rule, spec.optimizer_parameters, taken=("learning_rate",))
    if spec.weight_decay and "weight_decay" in spec.optimizer_parameters:
        raise ValueError("weight_decay is given twice: to the network and to its optimizer")
    check_number("weight_decay", spec.weight_decay, 0, math.inf)
    if spec.clip_norm is not None:
        check_number("clip_norm", spec.clip_norm, 0, math.inf)
        if spec.clip_norm == 0:
            raise ValueError("expected clip_norm > 0 or None, got 0")
    check_number("label_smoothing", spec.label_smoothing, 0, 1)
    if spec.dtype not in DTYPES:
        raise TypeError(f"dtype is {spec.dtype!r}, expected float32 or float64")
    if isinstance(spec.seed, bool) or not isinstance(spec.seed, int):
        raise TypeError(f"seed is {type(spec.seed).__name__}, expected an integer")
    if not 0 <= spec.seed < 2**64:
        raise ValueError(f"expected 0 <= seed < 2**64, got {spec.seed}")
    from gradwright import initialisers

    initialisers.check(spec.init, spec.init_parameters)
    return spec


def _check_layer(number: int, layer: LayerSpecification, last: bool) -> None:
    where = f"layer {number}"
    for name in ("inputs", "outputs"):
        _size(f"{where}: {name}", getattr(layer, name))
    face = kernels.activation(layer.activation)
    kernels.check_hyperparameters(face, layer.parameters)
    if not isinstance(layer.batchnorm, bool):
        raise TypeError(f"{where}: batchnorm is {layer.batchnorm!r}, expected True or False")
    check_number(f"{where}: dropout", layer.dropout, 0, 1)
    if layer.dropout == 1:
        raise ValueError(f"{where}: dropout 1 leaves nothing; expected a rate in [0, 1)")
    check_number(f"{where}: density", layer.density, 0, 1)
    check_support(where, layer)
    if layer.count < 1 and layer.density > 0:
        raise ValueError(f"{where}: density {layer.density} leaves no weight")
    if last and layer.batchnorm:
        raise ValueError(f"{where}: the output layer has no batch normalisation")
    if last and layer.dropout:
        raise ValueError(f"{where}: the output layer has no dropout")


def _check_loss(spec: Specification) -> None:
    face = kernels.loss(spec.loss)
    kernels.check_hyperparameters(face, spec.loss_parameters)
    output = spec.layers[-1].activation
    if spec.loss in _ON_LOGITS and not spec.loss_on_logits and output != "identity":
        wanted = next(name for name, loss in _FUSED if loss == spec.loss)
        raise ValueError(
            f"loss {spec.loss} works on logits: the output activation has to be {wanted} or "
            f"identity, got {output}"
        )
    if spec.label_smoothing and spec.task == "regression":
        raise ValueError(f"label_smoothing is for classes; the loss {spec.loss} has none")


def _sizes(layer_sizes: Any) -> tuple[int, ...]:
    if isinstance(layer_sizes, str) or not hasattr(layer_sizes, "__iter__"):
        raise TypeError(f"layer_sizes is {layer_sizes!r}, expected widths such as [784, 256, 10]")
    sizes = tuple(layer_sizes)
    if len(sizes) < 2:
        raise ValueError(f"expected at least an input and an output size, got {list(sizes)}")
    return tuple(_size(f"layer_sizes[{place}]", size) for place, size in enumerate(sizes))


def _size(name: str, value: Any) -> int:
    if not kernels.whole(value):
        raise TypeError(f"{name} is {value!r}, expected a whole number")
    if not 1 <= value < 2**31:
        raise ValueError(f"{name} is {value}, expected 1 <= size < 2**31")
    return int(value)


def _activations(given: Sequence[Named] | None, count: int) -> list[Named]:
    if given is None:
        return [*["relu"] * (count - 1), "identity"]
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise TypeError(f"activations is {given!r}, expected a list with one for each layer")
    if len(given) != count:
        raise ValueError(
            f"expected {count} activations, one for each layer after the input, got {len(given)}"
        )
    return list(given)


def _named(item: Any, kind: str) -> tuple[str, dict[str, float]]:
    """A name and its parameters: "relu", or ("leaky_relu", {"alpha": 0.1})."""
    if item is None:
        return "identity", {}
    parameters: Any = {}
    if isinstance(item, (tuple, list)) and len(item) == 2:
        item, parameters = item
    if not isinstance(item, str) or not isinstance(parameters, Mapping):
        raise TypeError(f"{kind} is {item!r}, expected a name or (name, {{parameter: value}})")
    name = _ALIASES.get(item, item)
    if kind == "activation":
        name = kernels.activation(name).name
    return name, {key: _plain(value) for key, value in parameters.items()}


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") and not hasattr(value, "__len__") else value


def _per_layer(name: str, value: Any, count: int, none: Any, output_too: bool = False) -> list[Any]:
    """One value a layer; a single one is for all hidden layers (and for the output, if so said)."""
    hidden = count if output_too else count - 1
    if not isinstance(value, (list, tuple)):
        return [_plain(value)] * hidden + [none] * (count - hidden)
    if len(value) not in (hidden, count):
        raise ValueError(f"expected {hidden} values of {name}, got {len(value)}")
    return [_plain(item) for item in value] + [none] * (count - len(value))


def _dtype_name(dtype: Any) -> str:
    name = getattr(dtype, "__name__", None) or getattr(dtype, "name", None) or str(dtype)
    if name not in DTYPES:
        raise TypeError(f"dtype is {name!r}, expected float32 or float64")
    return name


def _entries(cls: type, data: Any, where: str) -> dict[str, Any]:
    if not isinstance(data, Mapping):
        raise ValueError(f"{where}: expected an object, got {type(data).__name__}")
    known = [item.name for item in fields(cls)]
    for key in data:
        if key not in known:
            raise ValueError(f"{where}: {kernels.unknown('entry', key, known)}")
    return dict(data)
