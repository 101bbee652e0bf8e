// Makes print look written: every glyph is turned, scaled and shifted a little, and its outline waves smoothly.
import type { Random } from '../../shared/random.ts';

/** Wavelength of the outline's wave in font units (1000 an em): about one bend a stroke. */
const WAVELENGTH = 700;

/** Rewrites the paths of a MathJax SVG. `strength` 1 is a lively hand. */
export function handwrite(svg: string, strength: number, random: Random): string {
  return svg.replace(/<path([^>]*?) d="([^"]+)"([^>]*)>/g, (_all, before: string, d: string, after: string) => {
    const k = (2 * Math.PI) / WAVELENGTH;
    const [a, b, c, e] = [0, 0, 0, 0].map(() => random.range(0, 2 * Math.PI)) as [number, number, number, number];
    const wave = 26 * strength;
    const angle = random.normal() * 0.07 * strength;
    const grow = 1 + random.normal() * 0.07 * strength;
    const [cos, sin] = [Math.cos(angle) * grow, Math.sin(angle) * grow];
    const shift = random.normal() * 22 * strength;
    const bend = (x: number, y: number): string => {
      const px = x + wave * Math.sin(k * (y + 0.5 * x) + a) + wave * 0.4 * Math.sin(2.3 * k * y + b);
      const py = y + wave * Math.sin(k * (x - 0.5 * y) + c) + wave * 0.4 * Math.sin(2.1 * k * x + e);
      return `${Math.round(px * cos - py * sin)} ${Math.round(px * sin + py * cos + shift)}`;
    };
    return `<path${before} d="${bendPath(d, bend)}"${after}>`;
  });
}

/** Moves every point of absolute path data; horizontal and vertical lines become free ones. */
function bendPath(d: string, bend: (x: number, y: number) => string): string {
  let x = 0;
  let y = 0;
  return d.replace(/([MLHVQTCSZ])([^MLHVQTCSZ]*)/g, (_all, command: string, rest: string) => {
    const values = (rest.match(/-?\d*\.?\d+(?:e-?\d+)?/g) ?? []).map(Number);
    if (command === 'Z') return 'Z';
    const points: string[] = [];
    if (command === 'H' || command === 'V')
      for (const value of values) {
        if (command === 'H') x = value;
        else y = value;
        points.push(bend(x, y));
      }
    else
      for (let i = 0; i + 1 < values.length; i += 2) {
        x = values[i] as number;
        y = values[i + 1] as number;
        points.push(bend(x, y));
      }
    return `${command === 'H' || command === 'V' ? 'L' : command}${points.join(' ')}`;
  });
}
