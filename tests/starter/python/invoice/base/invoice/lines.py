"""Lines of an invoice, and their sums."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Dict, Iterable, List

from .money import Amount, amount, cents


@dataclass(frozen=True)
class Line:
    """Something that is charged for. ``rate`` is the tax in percent."""

    what: str
    quantity: Amount
    price: Amount
    rate: Amount

    @property
    def net(self) -> Decimal:
        """What it costs without tax, in whole cents."""
        return cents(amount(self.quantity) * amount(self.price))

    def reversed(self) -> "Line":
        """The line of a credit note that takes this one back."""
        return Line(self.what, -amount(self.quantity), self.price, self.rate)


class Invoice:
    """Lines, and what they add up to."""

    def __init__(self, lines: Iterable[Line]) -> None:
        self.lines: List[Line] = list(lines)

    @property
    def net(self) -> Decimal:
        """The sum of the lines without tax."""
        return sum((line.net for line in self.lines), Decimal("0.00"))

    @property
    def tax_by_rate(self) -> Dict[Decimal, Decimal]:
        """The tax of each rate, lowest rate first."""
        nets: Dict[Decimal, Decimal] = {}
        for line in self.lines:
            rate = amount(line.rate)
            nets[rate] = nets.get(rate, Decimal(0)) + line.net
        return {rate: cents(nets[rate] * rate / 100) for rate in sorted(nets)}

    @property
    def tax(self) -> Decimal:
        """The tax altogether."""
        return sum(self.tax_by_rate.values(), Decimal("0.00"))

    @property
    def gross(self) -> Decimal:
        """What is to be paid."""
        return self.net + self.tax

    def reversed(self) -> "Invoice":
        """The credit note that takes this invoice back."""
        return Invoice(line.reversed() for line in self.lines)
