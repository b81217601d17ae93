import assert from "node:assert/strict";
import { test } from "node:test";

import { layer, read } from "../src/index.ts";

test("sections are laid over one another key by key", () => {
  const defaults = { theme: "light", limits: { pages: 10, files: 3 } };
  const settings = layer(defaults, { limits: { pages: 50 } }, { theme: "dark" });
  assert.deepEqual(settings, { theme: "dark", limits: { pages: 50, files: 3 } });
});

test("anything but a section replaces what stood there", () => {
  const day = new Date(0);
  assert.deepEqual(layer({ a: [1, 2], b: { c: 1 } }, { a: [3], b: 5 }), { a: [3], b: 5 });
  assert.equal(layer({ day: 1 }, { day }).day, day);
  assert.deepEqual(layer({ a: 5 }, { a: { b: 1 } }), { a: { b: 1 } });
});

test("undefined leaves what stood there, and null replaces it", () => {
  assert.deepEqual(layer({ a: 1, b: 2 }, { a: undefined, b: null }), { a: 1, b: null });
  assert.deepEqual(layer({ a: null }, { a: { b: 1 } }), { a: { b: 1 } });
});

test("changing what comes out leaves what went in", () => {
  const defaults = { limits: { pages: 10 }, hosts: [{ name: "a" }] };
  const settings = layer(defaults, {}) as typeof defaults;
  settings.limits.pages = 50;
  settings.hosts[0].name = "b";
  settings.hosts.push({ name: "c" });
  assert.deepEqual(defaults, { limits: { pages: 10 }, hosts: [{ name: "a" }] });
});

test("a layer does not change the one below it", () => {
  const defaults = { limits: { pages: 10 } };
  layer(defaults, { limits: { pages: 50 } });
  assert.deepEqual(defaults, { limits: { pages: 10 } });
});

test("a path is read", () => {
  const settings = { limits: { pages: 10 } };
  assert.equal(read(settings, "limits.pages"), 10);
  assert.equal(read(settings, "limits.files"), undefined);
  assert.equal(read(settings, "limits.pages.first"), undefined);
  assert.equal(read(settings, "toString"), undefined);
});
