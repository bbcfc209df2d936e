/** Rows as a run makes them, with times that a test chooses. */
import type { Row } from '../../bench/run/race.mjs';

export function row(model: string, label: string, median: number, more: Partial<Row> = {}): Row {
  const [system = '', backend = '', plan = null] = label.split(' ');
  return {
    model,
    system,
    backend,
    plan,
    stages: null,
    replicas: null,
    microBatches: null,
    schedule: null,
    batch: 128,
    msPerStep: { median, min: median * 0.9, max: median * 1.2 },
    steps: 100,
    ...more,
  };
}

/** `{ 'mlp': { 'tfjs-node tensorflow': 40 } }` and so on. */
export function rowsOf(times: Readonly<Record<string, Readonly<Record<string, number>>>>): Row[] {
  return Object.entries(times).flatMap(([model, own]) =>
    Object.entries(own).map(([label, median]) => row(model, label, median)),
  );
}
