import assert from "node:assert/strict";
import { test } from "node:test";

import { Signals, waitFor } from "../src/index.ts";

type Some = { said: [word: string]; closed: [] };

test("listeners are called in order, with what the signal carries", () => {
  const signals = new Signals<Some>();
  const heard: string[] = [];
  signals.on("said", (word) => heard.push(`1 ${word}`));
  signals.on("said", (word) => heard.push(`2 ${word}`));
  assert.equal(signals.emit("said", "hello"), true);
  assert.deepEqual(heard, ["1 hello", "2 hello"]);
});

test("a signal that nobody listens to says so", () => {
  const signals = new Signals<Some>();
  signals.on("said", () => {});
  assert.equal(signals.emit("closed"), false);
});

test("a once listener is called once", () => {
  const signals = new Signals<Some>();
  let calls = 0;
  signals.once("closed", () => (calls += 1));
  signals.emit("closed");
  signals.emit("closed");
  assert.equal(calls, 1);
  assert.equal(signals.count("closed"), 0);
});

test("who unsubscribed is called no more", () => {
  const signals = new Signals<Some>();
  let calls = 0;
  const listener = () => (calls += 1);
  const stop = signals.on("closed", listener);
  signals.on("closed", listener);
  signals.emit("closed");
  stop();
  stop();
  signals.emit("closed");
  assert.equal(calls, 3);
  assert.equal(signals.off("closed", listener), true);
  assert.equal(signals.off("closed", listener), false);
});

test("an error of one listener does not stop the others", () => {
  const signals = new Signals<Some>();
  let calls = 0;
  signals.on("closed", () => {
    throw new Error("first");
  });
  signals.on("closed", () => (calls += 1));
  assert.throws(() => signals.emit("closed"), /first/);
  assert.equal(calls, 1);
});

test("the next signal can be waited for", async () => {
  const signals = new Signals<Some>();
  const waiting = waitFor(signals, "said");
  signals.emit("said", "hello");
  assert.deepEqual(await waiting, ["hello"]);
});
