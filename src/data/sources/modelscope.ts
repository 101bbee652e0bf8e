// Source `modelscope`: a data set of ModelScope, such as modelscope:AI-ModelScope/LaTeX_OCR.
import { openHubDataset } from '../hub_dataset.ts';
import type { OpenSource } from '../source.ts';

export const open: OpenSource = (path, options) => openHubDataset('modelscope', path, options);
