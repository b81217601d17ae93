"""Rows of cells."""

from typing import List, Optional, Sequence

from .cells import clean, fit, pad, width

GAP = "  "


def table(
    rows: Sequence[Sequence[object]],
    headers: Optional[Sequence[object]] = None,
    align: str = "",
    most: Optional[int] = None,
) -> str:
    """Lays rows out in columns, below their headers if there are any. Short rows are filled up with empty cells."""
    cells = [_cells(row, most) for row in rows]
    titles = None if headers is None else _cells(headers, most)
    everything = cells if titles is None else [titles] + cells
    count = max((len(row) for row in everything), default=0)
    widths = [max(width(row[at]) for row in everything if at < len(row)) for at in range(count)]
    aligned = align.ljust(count, "<")

    def line(row: List[str]) -> str:
        filled = row + [""] * (count - len(row))
        return GAP.join(pad(*cell) for cell in zip(filled, widths, aligned)).rstrip(" ")

    lines = [line(row) for row in cells]
    if titles is not None:
        lines[:0] = [line(titles), GAP.join("-" * columns for columns in widths)]
    return "\n".join(lines)


def _cells(row: Sequence[object], most: Optional[int]) -> List[str]:
    texts = [clean(str(value)) for value in row]
    return texts if most is None else [fit(text, most) for text in texts]
