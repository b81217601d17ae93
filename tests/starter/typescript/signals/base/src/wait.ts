import type { Signals } from "./signals.ts";
import type { SignalMap } from "./types.ts";

/** Waits for the next signal of a name, and answers what it carried. */
export function waitFor<Signal extends SignalMap, Name extends keyof Signal>(
  signals: Signals<Signal>,
  name: Name,
): Promise<Signal[Name]> {
  return new Promise((resolve) => {
    signals.once(name, (...args: Signal[Name]) => resolve(args));
  });
}
