// Source `hf`: a data set of Hugging Face, such as hf:linxy/LaTeX_OCR.
import { openHubDataset } from '../hub_dataset.ts';
import type { OpenSource } from '../source.ts';

export const open: OpenSource = (path, options) => openHubDataset('hf', path, options);
