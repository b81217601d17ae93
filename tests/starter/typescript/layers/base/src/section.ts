/** Settings by their keys. */
export type Section = { [key: string]: unknown };

/** Whether a value is a section: a plain object, as a literal or JSON makes it. */
export function isSection(value: unknown): value is Section {
  if (typeof value !== "object" || value === null) {
    return false;
  }
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
