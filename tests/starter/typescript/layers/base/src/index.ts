export { layer } from "./layer.ts";
export { read } from "./read.ts";
export { isSection } from "./section.ts";
export type { Section } from "./section.ts";
