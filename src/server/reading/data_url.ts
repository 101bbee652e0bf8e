// Images that come within a request, as data: URLs. Nothing is ever fetched.
import { RequestFault } from './fault.ts';

const SHAPE = /^data:image\/[\w.+-]+(?:;[\w-]+=[^;,]*)*;base64,/i;
// Two looks for one character each, since a pattern of the whole takes the square of its length for a hostile text.
const SOMETHING = /[A-Za-z0-9+/]/;
const WRONG = /[^A-Za-z0-9+/=\s]|=\s*[^=\s]/;

export function imageOfUrl(url: string, param: string): Uint8Array {
  const head = SHAPE.exec(url)?.[0];
  if (head === undefined) {
    const found = url.length > 60 ? `${url.slice(0, 60)}…` : url;
    throw new RequestFault(
      400,
      `${param}: expected "data:image/png;base64,…", found "${found}". Nothing is fetched from an address; send the image itself.`,
      { param, code: 'invalid_image_url' },
    );
  }
  const text = url.slice(head.length);
  if (!SOMETHING.test(text) || WRONG.test(text))
    throw new RequestFault(400, `${param}: what follows "base64," is not base64`, { param, code: 'invalid_base64' });
  return Buffer.from(text, 'base64');
}
