"""Programs without Python find the headers."""

from gradwright.headers import include_directories


def test_the_runtime_header_lies_in_the_first_include_directory() -> None:
    assert (include_directories()[0] / "gradwright" / "runtime.hpp").is_file()


def test_the_generated_headers_lie_in_the_second_include_directory() -> None:
    assert (include_directories()[1] / "softmax.hpp").is_file()
