"""Who takes part: each peer trains the same network on the same batch in a process of its own library."""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Callable
from dataclasses import dataclass

from .problem import Problem, Trainer


@dataclass(frozen=True)
class Peer:
    """A way to train. `make` names a function (Problem) -> Trainer in the module of its library."""

    name: str
    library: str  # module of this package; its peers share one process
    make: str
    package: str = "gradwright"  # what has to be installed
    one_thread: bool = False  # its products know no other number
    alike: bool = True  # no weights are trained but those of the problem

    def missing(self) -> str | None:
        """The package to install, if it is not there."""
        try:
            importlib.metadata.version(self.package)
        except importlib.metadata.PackageNotFoundError:
            return self.package
        return None

    @property
    def maker(self) -> Callable[[Problem], Trainer]:
        """Imports the library."""
        found: Callable[[Problem], Trainer] = getattr(
            importlib.import_module(f".{self.library}", __name__), self.make
        )
        return found


OURS = Peer("gradwright", "own", "network")
OURS_DENSE = Peer("gradwright, dense", "own", "dense_network", alike=False)

DENSE = (
    OURS,
    Peer("PyTorch", "pytorch", "dense", "torch"),
    Peer("torch.compile", "pytorch", "compiled", "torch"),
    Peer("JAX jit", "jax_jit", "dense", "jax"),
    Peer("NumPy", "numpy_dense", "dense", "numpy"),
    Peer("scikit-learn", "sklearn_mlp", "dense", "scikit-learn"),
)
SPARSE = (
    OURS,
    OURS_DENSE,
    Peer("PyTorch, dense", "pytorch", "dense", "torch", alike=False),
    Peer("PyTorch, masked", "pytorch", "masked", "torch"),
    Peer("torch.compile, dense", "pytorch", "compiled", "torch", alike=False),
    Peer("PyTorch CSR", "pytorch_csr", "sampled", "torch"),
    Peer("JAX jit, dense", "jax_jit", "dense", "jax", alike=False),
    Peer("NumPy, dense", "numpy_dense", "dense", "numpy", alike=False),
    Peer("SciPy CSR", "scipy_csr", "sampled", "scipy", one_thread=True),
    Peer("MKL, reference", "mkl", "reference", "mkl"),
)
# Their step does not depend on the density: where many densities are measured, once is enough.
SAME_AT_EVERY_DENSITY = ("torch.compile, dense", "JAX jit, dense", "NumPy, dense")
