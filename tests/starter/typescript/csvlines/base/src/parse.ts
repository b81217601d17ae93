import { delimiterOf } from "./options.ts";
import type { Options } from "./options.ts";

/** Says what is wrong with a text, and in which line. */
export class CsvError extends Error {
  readonly line: number;

  constructor(message: string, line: number) {
    super(`line ${line}: ${message}`);
    this.name = "CsvError";
    this.line = line;
  }
}

/** Reads the rows of a text. */
export function parse(text: string, options: Options = {}): string[][] {
  const reader = new Reader(text, delimiterOf(options));
  const rows: string[][] = [];
  while (!reader.done()) {
    rows.push(reader.row());
  }
  return rows;
}

/** Reads rows whose first one names the columns. */
export function records(text: string, options: Options = {}): Record<string, string>[] {
  const [names = [], ...rows] = parse(text, options);
  return rows.map((row, index) => {
    if (row.length !== names.length) {
      throw new CsvError(`record ${index + 1} has ${row.length} fields under ${names.length} names`, index + 2);
    }
    return Object.fromEntries(row.map((field, column) => [names[column], field]));
  });
}

/** Goes through a text from its beginning. */
class Reader {
  private readonly text: string;
  private readonly delimiter: string;
  private at = 0;
  private line = 1;

  constructor(text: string, delimiter: string) {
    this.text = text;
    this.delimiter = delimiter;
  }

  done(): boolean {
    return this.at >= this.text.length;
  }

  row(): string[] {
    const row = [this.field()];
    while (this.text[this.at] === this.delimiter) {
      this.at += 1;
      row.push(this.field());
    }
    if (!this.done() && this.endOfLine() === "") {
      throw new CsvError("text behind a closing quote", this.line);
    }
    return row;
  }

  private field(): string {
    if (this.text[this.at] === '"') {
      return this.quoted();
    }
    const from = this.at;
    while (!this.done() && !this.ends(this.text[this.at])) {
      this.at += 1;
    }
    return this.text.slice(from, this.at);
  }

  /** Whether a character ends a field that is not in quotes. */
  private ends(character: string): boolean {
    return character === this.delimiter || character === "\r" || character === "\n";
  }

  private quoted(): string {
    const opened = this.line;
    let field = "";
    this.at += 1;
    while (!this.done()) {
      if (this.text.startsWith('""', this.at)) {
        field += '"';
        this.at += 2;
      } else if (this.text[this.at] === '"') {
        this.at += 1;
        return field;
      } else {
        field += this.endOfLine() || this.text[this.at++];
      }
    }
    throw new CsvError("the quote that opens here is never closed", opened);
  }

  /** Takes an end of line and answers it. Empty where none stands here. */
  private endOfLine(): string {
    const end = ["\r\n", "\n", "\r"].find((end) => this.text.startsWith(end, this.at)) ?? "";
    this.at += end.length;
    this.line += end === "" ? 0 : 1;
    return end;
  }
}
