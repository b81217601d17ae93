import { delimiterOf } from "./options.ts";
import type { Options, Row } from "./options.ts";

/** Writes rows as lines, each ended by `\r\n`. */
export function format(rows: Iterable<Row>, options: Options = {}): string {
  const delimiter = delimiterOf(options);
  let text = "";
  for (const row of rows) {
    text += row.map((field) => written(field, delimiter)).join(delimiter) + "\r\n";
  }
  return text;
}

/** A field as it stands in a line. */
function written(field: string, delimiter: string): string {
  if (!field.includes(delimiter)) {
    return field;
  }
  return `"${field.replaceAll('"', '""')}"`;
}
