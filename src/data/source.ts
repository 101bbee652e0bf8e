// What a data source gives: rows in an order that never changes, from any row on. One file each in sources/.
import type { Level } from './synthetic/grammar.ts';
import type { DrawOptions } from './synthetic/sample.ts';
import type { StyleName } from './synthetic/style.ts';

/** A labelled image on its way; the image is a file's path or the file's bytes. */
export interface Row {
  /** where it stands in the source, for messages */
  readonly where: string;
  readonly image: string | Uint8Array;
  readonly text: string;
}

/** A row that cannot be used. */
export interface Unusable {
  readonly where: string;
  /** a few words that are the same for all rows of this fault */
  readonly unusable: string;
  readonly detail: string;
}

/** A formula that is still to be made or read, and drawn, which worker threads do. */
export interface Drawing {
  readonly draw: DrawOptions;
  readonly index: number;
}

export type Item = Row | Unusable | Drawing;

/** A file that the rows come from; the hash of its content, or of what else tells that it changed. */
export interface InputFile {
  readonly name: string;
  readonly bytes: number;
  readonly hash: string;
}

export interface Source {
  /** the options that decide the rows, defaults filled in */
  readonly options: Readonly<Record<string, unknown>>;
  /** the files that the rows come from, read through for their hashes */
  files(): Promise<readonly InputFile[]>;
  /** how many rows there are */
  readonly total: number;
  /** how many there are by what the data set says of itself */
  readonly declared?: number;
  /** The rows from number `from` on. */
  rows(from: number): AsyncIterable<Item> | Iterable<Item>;
}

/** Options of all sources; each source takes some of them. */
export interface SourceOptions {
  readonly imageColumn?: string;
  readonly textColumn?: string;
  readonly count?: number;
  readonly seed?: number;
  readonly level?: Level;
  readonly style?: StyleName;
  /** lists of formulas to draw, and the share that the grammar makes beside them */
  readonly formulas?: readonly string[];
  readonly grammar?: number;
  readonly subset?: string;
  readonly split?: string;
}

/** Opens what stands after the source's name and colon; '' where nothing does. */
export type OpenSource = (path: string, options: SourceOptions) => Promise<Source>;
