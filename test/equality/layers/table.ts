/** docs/layers.md: what trains where, as a test run has seen it. */
import { FUSED_KERNELS } from '#internal/backends/fused-kernels.js';
import type { BackendName } from '../../helpers/backends.js';
import { UNTRAINABLE_CASES } from '../../helpers/layer-cases.js';

export type Way = 'plain' | 'piped';

/** What was seen, by class, backend and way; a class with several cases must do all of them. */
export class Sightings {
  readonly #seen = new Map<string, boolean>();

  note(className: string, backend: BackendName, way: Way, trains: boolean): void {
    const key = [className, backend, way].join();
    this.#seen.set(key, trains && (this.#seen.get(key) ?? true));
  }

  trains(className: string, backend: BackendName, way: Way): boolean {
    return this.#seen.get([className, backend, way].join()) ?? false;
  }
}

const BACKENDS: readonly BackendName[] = ['tensorflow', 'wasm', 'cpu'];

export function tableText(classNames: readonly string[], sightings: Sightings): string {
  const ways = (className: string, way: Way): string => {
    const where = BACKENDS.filter(backend => sightings.trains(className, backend, way));
    return where.length === 0 ? 'no' : where.join(', ');
  };
  const rows = classNames.map(
    name => `| ${name} | ${ways(name, 'plain')} | ${ways(name, 'piped')} | ${fusedOn(name) || '–'} |`,
  );
  const untrainable = UNTRAINABLE_CASES.map(({ className, reason }) => `| ${className} | ${reason} |`);
  return `# Layers

Every layer class of tfjs-layers, and where it trains. A test run writes this file
(\`MILLRACE_UPDATE_DOCS=1 npm test -- test/equality/layers\`) and fails when it is out of date.

- *Trains plain*: with Millrace imported, plain \`fit\` of a small model with the layer above trainable weights (embeddings and
  encodings come first, see [differences.md](differences.md)) takes steps, and all its weights move.
- *Trains piped*: the same model over two stages and three micro-batches (one with batch norm or samples one by one) has the
  losses and weights of plain \`fit\` on that backend.
- *Fused*: the stages run the layer, or some settings of it, on a kernel of Millrace's own.

| layer class | trains plain | trains piped | fused |
|---|---|---|---|
${rows.join('\n')}

Cells (\`SimpleRNNCell\`, \`GRUCell\`, \`LSTMCell\`, \`ConvLSTM2DCell\`) train inside of \`RNN\`, containers (\`Model\`, \`Functional\`,
\`Sequential\`) with their layers.

## What cannot train

tfjs 4.22 cannot run these inside of a model on any backend, plainly or piped:

| layer class | because it |
|---|---|
${untrainable.join('\n')}
`;
}

function fusedOn(className: string): string {
  return BACKENDS.filter(backend =>
    FUSED_KERNELS.some(({ backends, usedBy }) => backends.includes(backend) && usedBy.includes(className)),
  ).join(', ');
}
