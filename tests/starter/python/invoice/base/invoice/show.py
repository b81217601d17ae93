"""An invoice as text."""

from .lines import Invoice

WIDTH = 48


def text(invoice: Invoice) -> str:
    """Lines, taxes and sums, one below the other."""
    rows = [(f"{line.quantity} × {line.what}", line.net) for line in invoice.lines]
    rows.append(("net", invoice.net))
    rows.extend((f"tax {rate.normalize():f} %", tax) for rate, tax in invoice.tax_by_rate.items())
    rows.append(("to pay", invoice.gross))
    return "".join(f"{name:<{WIDTH - 12}}{number:>12}\n" for name, number in rows)
