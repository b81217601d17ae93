"""Works out what stands at the bottom of an invoice."""

from .lines import Invoice, Line
from .money import Amount, amount, cents
from .show import text

__all__ = ["Amount", "Invoice", "Line", "amount", "cents", "text"]
