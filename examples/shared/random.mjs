/** Random numbers that are the same in every run: data must not change from one to the next. */

/** Numbers from 0 to 1 (mulberry32 by Tommy Ettinger): short, and good enough to shuffle with. */
export function randomNumbers(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let bits = Math.imul(state ^ (state >>> 15), state | 1);
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61);
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The numbers from 0 to `count` - 1 in a random order (Fisher and Yates). */
export function shuffled(count, seed) {
  const order = Array.from({ length: count }, (_, index) => index);
  const random = randomNumbers(seed);
  for (let last = count - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1));
    [order[last], order[other]] = [order[other], order[last]];
  }
  return order;
}
