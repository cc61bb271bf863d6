"""The compiled kernels. Use them through gradwright.generated.cpp and gradwright.blas."""

from typing import Any

bundled_blas: str | None

def set_blas(sgemm_address: int, dgemm_address: int) -> None: ...
def use_bundled_blas() -> None: ...
def __getattr__(name: str) -> Any: ...  # one submodule a layer, typed by its own stub
