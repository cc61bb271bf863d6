"""What the kernels were compiled for and what this processor can run. Use gradwright.instructions."""

built: str

def levels() -> list[str]: ...
