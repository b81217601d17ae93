import { isSection } from "./section.ts";
import type { Section } from "./section.ts";

/** The value at a path of keys, with dots between them. Undefined where there is none. */
export function read(settings: Section, path: string): unknown {
  let value: unknown = settings;
  for (const key of path.split(".")) {
    if (!isSection(value) || !Object.hasOwn(value, key)) {
      return undefined;
    }
    value = value[key];
  }
  return value;
}
