import type { Listener, SignalMap, Stop, Subscription } from "./types.ts";

/** Sends signals to those who subscribed to them. */
export class Signals<Signal extends SignalMap> {
  private readonly subscriptions = new Map<keyof Signal, Subscription[]>();

  /** Calls a listener for each signal of a name. */
  on<Name extends keyof Signal>(name: Name, listener: Listener<Signal[Name]>): Stop {
    return this.subscribe(name, { listener, once: false });
  }

  /** Calls a listener for the next signal of a name. */
  once<Name extends keyof Signal>(name: Name, listener: Listener<Signal[Name]>): Stop {
    return this.subscribe(name, { listener, once: true });
  }

  /** Takes out the earliest subscription of a listener. Answers whether there was one. */
  off<Name extends keyof Signal>(name: Name, listener: Listener<Signal[Name]>): boolean {
    const found = this.subscriptions.get(name)?.find((subscription) => subscription.listener === listener);
    return found !== undefined && this.unsubscribe(name, found);
  }

  /** Sends a signal. Answers whether anybody listened. */
  emit<Name extends keyof Signal>(name: Name, ...args: Signal[Name]): boolean {
    const subscriptions = this.subscriptions.get(name) ?? [];
    const errors: unknown[] = [];
    let called = false;
    for (const subscription of subscriptions) {
      if (subscription.once) {
        this.unsubscribe(name, subscription);
      }
      called = true;
      try {
        subscription.listener(...args);
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) {
      throw errors[0];
    }
    return called;
  }

  /** How many listeners a signal has. */
  count(name: keyof Signal): number {
    return this.subscriptions.get(name)?.length ?? 0;
  }

  private subscribe(name: keyof Signal, subscription: Subscription): Stop {
    const subscriptions = this.subscriptions.get(name);
    if (subscriptions === undefined) {
      this.subscriptions.set(name, [subscription]);
    } else {
      subscriptions.push(subscription);
    }
    return () => {
      this.unsubscribe(name, subscription);
    };
  }

  private unsubscribe(name: keyof Signal, subscription: Subscription): boolean {
    const subscriptions = this.subscriptions.get(name) ?? [];
    const at = subscriptions.indexOf(subscription);
    if (at < 0) {
      return false;
    }
    subscriptions.splice(at, 1);
    if (subscriptions.length === 0) {
      this.subscriptions.delete(name);
    }
    return true;
  }
}
