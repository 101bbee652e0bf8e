// Files of what some model read: a truth and a prediction a row, in CSV, TSV, JSON lines or a JSON array (as CDM's
// evaluation takes it: gt, pred, img_id).
import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { InputError, messageOf } from '../shared/errors.ts';
import { IMAGE_COLUMNS } from './conversation.ts';
import { readTable, type Table } from './table.ts';

export interface PredictionRow {
  /** its image, its id or its number */
  readonly name: string;
  /** its image's path, where there is one */
  readonly image: string | undefined;
  readonly truth: string;
  /** an empty text where there is none */
  readonly prediction: string;
}

export interface PredictionColumns {
  readonly truth?: string;
  readonly prediction?: string;
}

const TRUTHS = ['truth', 'gt', 'ground_truth', 'label', 'labels', 'reference', 'target', 'latex', 'text'];
const PREDICTIONS = ['prediction', 'pred', 'predict', 'predicted', 'hypothesis', 'output', 'response'];
const IDS = ['img_id', 'image_id', 'id', 'name'];

export async function readPredictions(file: string, columns: PredictionColumns = {}): Promise<PredictionRow[]> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    throw new InputError(`${file}: cannot be read (${messageOf(error)}); expected CSV, TSV, JSONL or JSON.`);
  }
  const { names, rows } = /\.json$/i.test(file) ? jsonArray(file, text) : readTable(file, text);
  const find = (given: string | undefined, usual: readonly string[]): string | undefined =>
    given ?? usual.find((name) => names.includes(name));
  const needed = (given: string | undefined, usual: readonly string[], option: string): string => {
    const name = find(given, usual);
    if (name !== undefined && names.includes(name)) return name;
    const wanted = given ?? `${usual.slice(0, 3).join(', ')} or the like`;
    throw new InputError(
      `${file}: no column ${wanted}; it has ${names.join(', ') || 'none'}. Name one with ${option}.`,
    );
  };
  if (rows.length === 0) throw new InputError(`${file}: has no rows; expected a truth and a prediction in each.`);
  const truth = needed(columns.truth, TRUTHS, '--truth-column');
  const prediction = needed(columns.prediction, PREDICTIONS, '--prediction-column');
  const image = find(undefined, IMAGE_COLUMNS);
  const id = find(undefined, IDS);
  return rows.map(({ cells, line }, i) => {
    const wanted = cells.get(truth);
    if (wanted === undefined) throw new InputError(`${file}:${line}: has no ${truth}; expected one in every row.`);
    const picture = image && cells.get(image);
    return {
      name: picture || (id && cells.get(id)) || `row ${i + 1}`,
      image: picture ? resolve(dirname(file), picture) : undefined,
      truth: wanted,
      prediction: cells.get(prediction) ?? '',
    };
  });
}

const ARRAY = 'an array of objects such as {"gt": "x", "pred": "x"}';

function jsonArray(file: string, text: string): Table {
  let list: unknown;
  try {
    list = JSON.parse(text.replace(/^\uFEFF/, ''));
  } catch (error) {
    throw new InputError(`${file}: broken JSON (${messageOf(error)}); expected ${ARRAY}.`);
  }
  const isObject = (entry: unknown): boolean => typeof entry === 'object' && entry !== null && !Array.isArray(entry);
  if (!Array.isArray(list) || !list.every(isObject)) throw new InputError(`${file}: expected ${ARRAY}.`);
  return readTable('.jsonl', list.map((entry) => JSON.stringify(entry)).join('\n'));
}
