"""Lays text out in columns, for terminals."""

from .cells import fit, pad, width
from .layout import table

__all__ = ["fit", "pad", "table", "width"]
