/**
 * Random numbers without a state: each is a function of where it is used, so that neither the cut, nor the micro-batches,
 * nor running a forward pass twice changes it. The idea is Salmon et al., "Parallel random numbers: as easy as 1, 2, 3"
 * (SC 2011); the mixing function is MurmurHash3's finalizer (Appleby), which is far cheaper in JavaScript than their
 * Philox and good enough for dropout masks.
 */

/** What a random number depends on, apart from its place inside one sample. */
export interface RandomKey {
  readonly seed: number;
  /** Training step. */
  readonly step: number;
  /** Hash of the layer's path. */
  readonly layer: number;
  /** How often the layer has drawn in this forward pass, for layers that are called or draw more than once. */
  readonly call: number;
}

const GOLDEN = 0x9e3779b9;

function mix(value: number): number {
  let mixed = value ^ (value >>> 16);
  mixed = Math.imul(mixed, 0x85ebca6b);
  mixed ^= mixed >>> 13;
  mixed = Math.imul(mixed, 0xc2b2ae35);
  return mixed ^ (mixed >>> 16);
}

function absorb(hash: number, word: number): number {
  return mix((hash ^ word) + GOLDEN);
}

/** 32-bit hash of a layer's path. */
export function hashPath(path: string): number {
  let hash = 0;
  for (let index = 0; index < path.length; index++) hash = absorb(hash, path.charCodeAt(index));
  return hash;
}

function hashKey({ seed, step, layer, call }: RandomKey): number {
  const highSeed = Math.floor(seed / 2 ** 32);
  return [seed | 0, highSeed, step, layer, call].reduce(absorb, GOLDEN);
}

/** 24 random bits as a number in [0, 1): what a float32 holds exactly. */
function toUnit(bits: number): number {
  return (bits >>> 8) / 2 ** 24;
}

/**
 * Uniform numbers in [0, 1) for consecutive samples.
 *
 * @param firstSample index in the mini-batch of the first sample
 * @param sampleSize numbers per sample
 */
export function uniform(
  key: RandomKey,
  firstSample: number,
  sampleCount: number,
  sampleSize: number,
): Float32Array {
  const numbers = new Float32Array(sampleCount * sampleSize);
  const base = hashKey(key);
  for (let sample = 0, place = 0; sample < sampleCount; sample++) {
    const sampleKey = absorb(base, firstSample + sample);
    for (let element = 0; element < sampleSize; element++, place++) {
      numbers[place] = toUnit(mix(sampleKey ^ mix(element + GOLDEN)));
    }
  }
  return numbers;
}

/** Numbers from the standard normal distribution, by the method of Box and Muller (1958). */
export function normal(
  key: RandomKey,
  firstSample: number,
  sampleCount: number,
  sampleSize: number,
): Float32Array {
  const pairSize = sampleSize + (sampleSize % 2);
  const source = uniform(key, firstSample, sampleCount, pairSize);
  const numbers = new Float32Array(sampleCount * sampleSize);
  for (let sample = 0; sample < sampleCount; sample++) {
    for (let element = 0; element < sampleSize; element++) {
      const pair = sample * pairSize + (element & ~1);
      // 1 − u lies in (0, 1], so the logarithm is finite.
      const radius = Math.sqrt(-2 * Math.log(1 - source[pair]!));
      const angle = 2 * Math.PI * source[pair + 1]!;
      numbers[sample * sampleSize + element] =
        radius * (element % 2 === 0 ? Math.cos(angle) : Math.sin(angle));
    }
  }
  return numbers;
}
