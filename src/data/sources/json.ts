// Source `json`: labelled images as one JSON array, in the forms of ../entries.ts.
import { jsonElements } from '../../formats/json_stream.ts';
import { openEntries } from '../entries.ts';
import type { OpenSource } from '../source.ts';

export const open: OpenSource = (path, options) => openEntries(path, options, jsonElements);
