export { Signals } from "./signals.ts";
export { waitFor } from "./wait.ts";
export type { Listener, SignalMap, Stop } from "./types.ts";
