// Random orders: every place is taken once.
import { expect, it } from 'vitest';
import { permuted } from './random.ts';

it('permutes any number of items, by the key', () => {
  for (const count of [1, 2, 3, 16, 17, 1000]) {
    const places = Array.from({ length: count }, (_, i) => permuted(i, count, 5));
    expect(places.toSorted((a, b) => a - b)).toEqual(Array.from({ length: count }, (_, i) => i));
  }
  const order = (key: number): number[] => Array.from({ length: 1000 }, (_, i) => permuted(i, 1000, key));
  expect(order(5)).not.toEqual(order(6));
  // Of a random order 1 item stays in place on average; 10 would be one in ten million.
  expect(order(5).filter((place, i) => place === i).length).toBeLessThan(10);
});
