import assert from "node:assert/strict";
import { test } from "node:test";

import { CsvError, format, parse, records } from "../src/index.ts";

test("rows become lines", () => {
  assert.equal(format([["a", "b"], ["c", ""]]), "a,b\r\nc,\r\n");
  assert.equal(format([]), "");
});

test("a field with the delimiter is put in quotes", () => {
  assert.equal(format([["London, UK", "x"]]), '"London, UK",x\r\n');
  assert.equal(format([["London, UK", "a;b"]], { delimiter: ";" }), 'London, UK;"a;b"\r\n');
});

test("a field that needs no quotes has none", () => {
  assert.equal(format([["it's", " spaced ", "tab\there"]]), "it's, spaced ,tab\there\r\n");
});

test("lines become rows, however they end", () => {
  const rows = [["a", "b"], ["c", "d"]];
  for (const text of ["a,b\r\nc,d\r\n", "a,b\nc,d", "a,b\rc,d\r"]) {
    assert.deepEqual(parse(text), rows);
  }
  assert.deepEqual(parse("a,\n,b"), [["a", ""], ["", "b"]]);
});

test("what is in quotes is read as it stands", () => {
  assert.deepEqual(parse('"a,b","say ""hi""","two\nlines"\n'), [["a,b", 'say "hi"', "two\nlines"]]);
});

test("what is wrong is named with its line", () => {
  const line = (number: number) => (error: unknown) => error instanceof CsvError && error.line === number;
  assert.throws(() => parse('a\n"b'), line(2));
  assert.throws(() => parse('"a\nb"c'), line(2));
});

test("the first row names the columns", () => {
  assert.deepEqual(records("name,city\nAda,London\n"), [{ name: "Ada", city: "London" }]);
  assert.throws(() => records("name,city\nAda\n"), CsvError);
});

test("a delimiter is one character and no quote", () => {
  assert.throws(() => format([], { delimiter: "::" }), RangeError);
  assert.throws(() => parse("", { delimiter: '"' }), RangeError);
});
