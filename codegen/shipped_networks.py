"""The networks whose derivation is shipped as a report page: sizes here are only for examples."""

from __future__ import annotations

from dataclasses import dataclass

from gradwright.specification import LayerSpecification, Specification


@dataclass(frozen=True)
class ShippedNetwork:
    """A network with a name and a title; `batch` is for the example of the memory table."""

    name: str
    title: str
    specification: Specification
    batch: int = 64


def _relu_network(output: str, loss: str) -> Specification:
    layers = (
        LayerSpecification(784, 256, "relu"),
        LayerSpecification(256, 128, "relu"),
        LayerSpecification(128, 10, output),
    )
    return Specification(layers, loss, optimizer="adam")


SHIPPED = (
    ShippedNetwork(
        "network_classification",
        "A multilayer perceptron with two hidden layers, softmax cross entropy and Adam.",
        _relu_network("softmax", "cross_entropy"),
    ),
    ShippedNetwork(
        "network_regression",
        "A multilayer perceptron with two hidden layers, half the squared error and Adam.",
        _relu_network("identity", "half_squared_error"),
    ),
)
