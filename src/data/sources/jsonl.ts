// Source `jsonl`: labelled images as JSON lines, in the forms of ../entries.ts.
import { jsonLines } from '../../formats/json_stream.ts';
import { openEntries } from '../entries.ts';
import type { OpenSource } from '../source.ts';

export const open: OpenSource = (path, options) => openEntries(path, options, jsonLines);
