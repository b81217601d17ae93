"""Single cells: how wide they are, cut and filled up."""

import unicodedata

ELLIPSIS = "…"


def clean(text: str) -> str:
    """Text that stays in its line: composed, and without control characters."""
    text = unicodedata.normalize("NFC", text)
    return "".join(_harmless(character) for character in text)


def width(text: str) -> int:
    """How many columns a text takes."""
    return len(text)


def fit(text: str, most: int) -> str:
    """Cuts a text that is wider than ``most`` columns, and marks the cut."""
    if most < 1:
        raise ValueError("a cell is at least one column wide")
    if width(text) <= most:
        return text
    return text[: most - 1] + ELLIPSIS


def pad(text: str, columns: int, align: str = "<") -> str:
    """Fills a text up with spaces."""
    if align == "<":
        return text.ljust(columns)
    if align == ">":
        return text.rjust(columns)
    if align == "^":
        before = (columns - len(text)) // 2
        return (" " * before + text).ljust(columns)
    raise ValueError(f"{align!r} is none of < > ^")


def _harmless(character: str) -> str:
    if character in "\t\r\n\v\f":
        return " "
    return "·" if unicodedata.category(character) == "Cc" else character
