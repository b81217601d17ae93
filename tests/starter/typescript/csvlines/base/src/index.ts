export { format } from "./format.ts";
export { CsvError, parse, records } from "./parse.ts";
export type { Options, Row } from "./options.ts";
