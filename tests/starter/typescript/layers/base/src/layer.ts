import { isSection } from "./section.ts";
import type { Section } from "./section.ts";

/** Lays sections over one another; what stands in later ones comes through. */
export function layer(...layers: readonly Section[]): Section {
  const settings: Section = {};
  for (const section of layers) {
    lay(settings, section);
  }
  return settings;
}

/** Lays a section over another one, in place. */
function lay(below: Section, above: Section): void {
  for (const key of Object.keys(above)) {
    const value = above[key];
    if (value === undefined) {
      continue;
    }
    if (isSection(value)) {
      below[key] ??= {};
      const section = below[key];
      if (isObject(section)) {
        lay(section, value);
        continue;
      }
    }
    below[key] = copy(value);
  }
}

/** A value that shares no section and no list with the one that went in. */
function copy(value: unknown): unknown {
  if (Array.isArray(value)) {
    return value.map(copy);
  }
  if (isSection(value)) {
    return layer(value);
  }
  return value;
}

function isObject(value: unknown): value is Section {
  return (typeof value === "object" && value !== null) || typeof value === "function";
}
