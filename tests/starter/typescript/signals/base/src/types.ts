/** What each signal carries, by its name. */
export type SignalMap = Record<string, unknown[]>;

/** What is called when a signal is sent. */
export type Listener<Args extends unknown[]> = (...args: Args) => void;

/** Unsubscribes. Calling it again does nothing. */
export type Stop = () => void;

/** One listener that was subscribed once. */
export interface Subscription {
  readonly listener: Listener<any>;
  /** Whether it is for one signal alone. */
  readonly once: boolean;
}
