import unittest
from decimal import Decimal

from invoice import Invoice, Line, text


def line(quantity, price, rate="20"):
    return Line("thing", quantity, price, rate)


class SumsTest(unittest.TestCase):
    def test_lines_are_added_up(self):
        bill = Invoice([line("7.5", "80"), line(2, "12.90", "5")])
        self.assertEqual(bill.net, Decimal("625.80"))
        self.assertEqual(bill.tax, Decimal("121.29"))
        self.assertEqual(bill.gross, Decimal("747.09"))

    def test_an_empty_invoice_costs_nothing(self):
        self.assertEqual(str(Invoice([]).gross), "0.00")

    def test_tax_is_rounded_once_for_each_rate(self):
        bill = Invoice([line(1, "0.02"), line(1, "0.02"), line(1, "1.00", "5")])
        self.assertEqual(bill.tax_by_rate, {Decimal(5): Decimal("0.05"), Decimal(20): Decimal("0.01")})

    def test_amounts_are_rounded_to_the_nearest_cent(self):
        self.assertEqual(line("0.333", "1").net, Decimal("0.33"))
        self.assertEqual(line("0.335", "1").net, Decimal("0.34"))
        self.assertEqual(line("0.667", "1").net, Decimal("0.67"))


class CreditNoteTest(unittest.TestCase):
    def test_it_is_the_opposite_of_its_invoice(self):
        bill = Invoice([line("7.5", "80"), line(3, "0.35", "5")])
        note = bill.reversed()
        self.assertEqual((note.net, note.tax, note.gross), (-bill.net, -bill.tax, -bill.gross))


class InputTest(unittest.TestCase):
    def test_floats_are_refused(self):
        with self.assertRaises(TypeError):
            line(1, 0.1).net

    def test_what_is_no_number_is_refused(self):
        with self.assertRaises(ValueError):
            line(1, "NaN").net


class TextTest(unittest.TestCase):
    def test_amounts_stand_below_one_another(self):
        lines = text(Invoice([line(2, "12.90", "5.0")])).splitlines()
        self.assertEqual(
            [row.split() for row in lines[1:]],
            [["net", "25.80"], ["tax", "5", "%", "1.29"], ["to", "pay", "27.09"]],
        )
        self.assertEqual({len(row) for row in lines}, {48})
