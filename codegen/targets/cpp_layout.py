"""Line breaks: generated C++ stays within a page, whatever the length of an equation."""

from __future__ import annotations

import re
from collections.abc import Iterator

WIDTH = 100
_LAMBDA = re.compile(r"(?P<head>.*\[=\]\(Index \w+\) \{) (?P<body>return .*;) (?P<tail>\}.*)")
_LOOP = re.compile(r"(?P<head>for \([^;]*;[^;]*;[^)]*\)) (?P<body>[^{].*;)")
_BREAKS = (", ", " + ", " - ", " * ", " / ", " ? ", " : ", " && ", " || ")


def folded(lines: list[str], margin: int = 0) -> list[str]:
    """Lines of at most `WIDTH - margin` columns, where there is a place to break."""
    return [part for line in lines for part in _fold(line, WIDTH - margin)]


def wrapped(start: str, parts: list[str], end: str) -> list[str]:
    """Parts separated by commas; later lines stand under the first part."""
    lines, current = [], start
    for place, part in enumerate(parts):
        text = part + (", " if place < len(parts) - 1 else end)
        if len((current + text).rstrip()) > WIDTH and current.strip():
            lines.append(current.rstrip())
            current = " " * len(start)
        current += text
    return [*lines, current if parts else start + end]


def _fold(line: str, columns: int) -> Iterator[str]:
    text = line.lstrip()
    pad = line[: len(line) - len(text)]
    if len(line) <= columns or text.startswith("//"):
        yield line
        return
    match = _LAMBDA.fullmatch(text) or _LOOP.fullmatch(text)
    if match is not None:
        tail = match.groupdict().get("tail", "}")
        opened = match["head"] if match["head"].endswith("{") else match["head"] + " {"
        yield from _fold(pad + opened, columns)
        yield from _fold(f"{pad}    {match['body']}", columns)
        yield from _fold(pad + tail, columns)
        return
    place = _break(line, len(pad), columns)
    if place is None:
        yield line
        return
    yield line[:place].rstrip()
    rest = line[place:].lstrip()
    yield from _continue(pad + "    ", rest, columns)


def _continue(pad: str, text: str, columns: int) -> Iterator[str]:
    while len(pad + text) > columns:
        place = _break(pad + text, len(pad), columns)
        if place is None:
            break
        yield (pad + text)[:place].rstrip()
        text = (pad + text)[place:].lstrip()
    yield pad + text


def _break(line: str, start: int, columns: int) -> int | None:
    """The last place of least depth in parentheses where the line may end."""
    best: tuple[int, int] | None = None
    depth = 0
    for place in range(start, min(len(line), columns)):
        character = line[place]
        depth += (character in "([{") - (character in ")]}")
        for mark in _BREAKS:
            if place > start + 8 and line.startswith(mark, place):
                end = place + (len(mark) if mark == ", " else 1)
                if end <= columns and (best is None or depth <= best[0]):
                    best = (depth, end)
    return best[1] if best is not None else None
