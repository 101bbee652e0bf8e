// The start of the page that reads formulas.
import { render } from 'preact';
import { OcrPage } from './ocr/ocr_page.tsx';

render(<OcrPage />, document.getElementById('app')!);
