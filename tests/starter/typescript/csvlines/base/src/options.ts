/** The fields of a line. */
export type Row = readonly string[];

/** How values are separated. */
export interface Options {
  /** What stands between two fields: one character. A comma unless told otherwise. */
  readonly delimiter?: string;
}

/** The delimiter to use. */
export function delimiterOf(options: Options): string {
  const delimiter = options.delimiter ?? ",";
  if (delimiter.length !== 1 || delimiter === '"' || delimiter === "\r" || delimiter === "\n") {
    throw new RangeError(`${JSON.stringify(delimiter)} cannot separate fields`);
  }
  return delimiter;
}
