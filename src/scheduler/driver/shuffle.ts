/**
 * The order of the samples in an epoch. tfjs shuffles with `Math.random`, which cannot be seeded; here the order depends on
 * seed, epoch and how many fits came before: a run can be repeated, an epoch be resumed, and a loop of one-epoch fits still sees
 * another order every time.
 */

/** Sample indices of one epoch, shuffled (Fisher and Yates, as Durstenfeld's algorithm 235) or in order. */
export function epochOrder(
  sampleCount: number,
  shuffle: boolean,
  seed: number,
  epoch: number,
  fit = 0,
): Uint32Array {
  const order = Uint32Array.from({ length: sampleCount }, (_, index) => index);
  if (!shuffle) return order;
  const random = randomStream(seed, epoch, fit);
  for (let last = sampleCount - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1));
    const moved = order[last]!;
    order[last] = order[other]!;
    order[other] = moved;
  }
  return order;
}

/** Uniform numbers in [0, 1): the SplitMix32 sequence that begins at a hash of its arguments. */
function randomStream(seed: number, epoch: number, fit: number): () => number {
  const highSeed = Math.imul(Math.floor(seed / 2 ** 32), 0xc2b2ae35);
  let state =
    (Math.imul(seed ^ highSeed, 0x9e3779b1) ^ Math.imul(epoch + 1, 0x85ebca6b) ^ Math.imul(fit, 0x27d4eb2f)) |
    0;
  return () => {
    state = (state + 0x9e3779b9) | 0;
    let mixed = state ^ (state >>> 16);
    mixed = Math.imul(mixed, 0x21f0aaad);
    mixed ^= mixed >>> 15;
    mixed = Math.imul(mixed, 0x735a2d97);
    return ((mixed ^ (mixed >>> 15)) >>> 0) / 2 ** 32;
  };
}
