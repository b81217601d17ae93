import os
import tempfile
import unittest

from keepsake import Store, keep


class KeepTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.store = Store(directory.name)
        self.asked = []

        @keep(self.store)
        def lookup(street, city="?", *more, **weights):
            self.asked.append((street, city))
            return {"street": street, "city": city}

        self.lookup = lookup

    def test_a_call_is_asked_once(self):
        for _ in range(3):
            self.assertEqual(
                self.lookup("Main St", "Springfield"), {"street": "Main St", "city": "Springfield"}
            )
        self.assertEqual(len(self.asked), 1)

    def test_other_arguments_are_other_calls(self):
        self.lookup("Main St", "Springfield")
        self.lookup("Main St", "Shelbyville")
        self.lookup("Springfield", "Main St")
        self.assertEqual(len(self.asked), 3)

    def test_it_makes_no_difference_how_an_argument_is_passed(self):
        self.lookup("Main St")
        self.lookup(street="Main St")
        self.lookup("Main St", city="?")
        self.assertEqual(len(self.asked), 1)

    def test_a_later_run_finds_what_is_kept(self):
        self.lookup("Main St")
        again = keep(Store(self.store.directory))(self.lookup.__wrapped__)
        again("Main St")
        self.assertEqual(len(self.asked), 1)

    def test_functions_do_not_share_answers(self):
        def other(street, city="?", *more, **weights):
            return "other"

        self.lookup("Main St")
        self.assertEqual(keep(self.store)(other)("Main St"), "other")

    def test_a_call_can_be_forgotten(self):
        self.lookup("Main St")
        self.assertTrue(self.lookup.forget("Main St"))
        self.assertFalse(self.lookup.forget("Main St"))
        self.lookup("Main St")
        self.assertEqual(len(self.asked), 2)

    def test_all_can_be_forgotten(self):
        self.lookup("Main St")
        self.store.clear()
        self.assertEqual(os.listdir(self.store.directory), [])

    def test_a_damaged_answer_is_asked_for_again(self):
        self.lookup("Main St")
        (name,) = os.listdir(self.store.directory)
        with open(os.path.join(self.store.directory, name), "w") as file:
            file.write('{"street":')
        self.assertEqual(self.lookup("Main St")["street"], "Main St")

    def test_arguments_without_contents_are_refused(self):
        with self.assertRaisesRegex(TypeError, "city"):
            self.lookup("Main St", [1, {"a": object()}])
        self.assertEqual(self.asked, [])
