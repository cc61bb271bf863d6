"""Data sets: readers of common formats, and small sets that need no download.

`load("digits")`, `load("measurements.csv", label="price")`, `load("mnist/")` return a `Dataset`.
"""

from .cifar import read_cifar10, read_cifar10_binary, read_cifar10_python
from .dataset import DataError, Dataset
from .idx import read_idx, read_mnist
from .pickled import read_pickle
from .sources import BUILT_IN, load
from .tables import read_csv, read_npz
from .toy import blobs, digits, sine, spiral, xor

__all__ = [
    "BUILT_IN", "DataError", "Dataset", "blobs", "digits", "load", "read_cifar10",
    "read_cifar10_binary", "read_cifar10_python", "read_csv", "read_idx", "read_mnist",
    "read_npz", "read_pickle", "sine", "spiral", "xor",
]  # fmt: skip
