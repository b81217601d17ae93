"""Amounts of money, exact to the cent."""

from decimal import Decimal
from typing import Union

Amount = Union[Decimal, int, str]

CENT = Decimal("0.01")


def amount(value: Amount) -> Decimal:
    """The number that a value stands for. Floats are refused: most cents have no float that equals them."""
    if isinstance(value, (bool, float)):
        raise TypeError(f"{value!r} is no exact amount; give a Decimal, a whole number or a text")
    number = Decimal(value)
    if not number.is_finite():
        raise ValueError(f"{value!r} is no amount")
    return number


def cents(number: Decimal) -> Decimal:
    """A number rounded to cents."""
    return number.quantize(CENT)
