import unittest

from columns import fit, pad, table


class TableTest(unittest.TestCase):
    def test_columns_line_up(self):
        text = table([["notes.txt", 1204], ["a.out", 16]], headers=["name", "bytes"], align="<>")
        self.assertEqual(
            text.splitlines(),
            ["name       bytes", "---------  -----", "notes.txt   1204", "a.out         16"],
        )

    def test_short_rows_are_filled_up(self):
        self.assertEqual(table([["a"], ["b", "c"], []]), "a\nb  c\n")

    def test_nothing_is_an_empty_text(self):
        self.assertEqual(table([]), "")

    def test_wide_cells_are_cut(self):
        self.assertEqual(table([["a long name", "x"]], most=6), "a lon…  x")

    def test_accents_are_composed(self):
        self.assertEqual(table([["e\u0301te\u0301", "x"]]), "été  x")

    def test_a_cell_stays_in_its_line(self):
        self.assertEqual(table([["two\nlines", "\x1b[31mred"]]), "two lines  ·[31mred")


class CellsTest(unittest.TestCase):
    def test_text_that_fits_is_not_cut(self):
        self.assertEqual(fit("abcd", 4), "abcd")
        self.assertEqual(fit("abcde", 4), "abc…")
        self.assertEqual(fit("abc", 1), "…")
        with self.assertRaises(ValueError):
            fit("abc", 0)

    def test_text_is_filled_up_on_either_side(self):
        self.assertEqual([pad("ab", 5, align) for align in "<>^"], ["ab   ", "   ab", " ab  "])
        with self.assertRaises(ValueError):
            pad("ab", 5, "|")

    def test_text_that_is_wider_is_left_alone(self):
        self.assertEqual([pad("abc", 2, align) for align in "<>^"], ["abc"] * 3)
