/** A random job in a form to read: one line a call, then the data and the plan. The JSON below it runs the job again. */
import type { CallSpec, CaseSpec, Config, InputSpec, LayerSpec, OutputSpec } from './spec.js';

export function printCase(job: CaseSpec): string {
  const { model, data, optimizer, plan, batchNorm } = job;
  return [
    ...model.inputs.map(printInput),
    ...model.calls.map(printCall),
    ...model.outputs.map(printOutput),
    `${data.sampleCount} samples, batch size ${data.batchSize}, ${data.epochs} epochs, ${optimizer}, seed ${data.seed}`,
    `cuts ${JSON.stringify(plan.cuts)} by ${plan.partition}, ${plan.replicas} replicas of ${plan.workers} workers, ${plan.microBatches} micro-batches, ` +
      `${plan.schedule}, recompute ${plan.recompute}, batch norm ${batchNorm}`,
    JSON.stringify(job),
  ].join('\n');
}

function printInput({ name, shape, holds }: InputSpec): string {
  return `${name} = ${holds} [${shape}]`;
}

function printCall({ name, of, make, masked }: CallSpec): string {
  const what = 'again' in make ? `${make.again} again` : printLayer(make);
  return `${name} = ${what} (${of.join(', ')})${masked ? ' with a mask' : ''}`;
}

function printLayer({ layer, config, inner }: LayerSpec): string {
  const parts = inner === undefined ? '' : ` [${inner.map(printLayer).join('; ')}]`;
  return `${layer}${printConfig(config)}${parts}`;
}

function printConfig(config: Config): string {
  const entries = Object.entries(config);
  return entries.length === 0
    ? ''
    : ` {${entries.map(([key, value]) => `${key}: ${JSON.stringify(value)}`).join(', ')}}`;
}

function printOutput({ value, targets, loss, metrics, shape }: OutputSpec): string {
  return `${value} [${shape}] → ${loss} of ${targets}${metrics.length > 0 ? `, metrics ${metrics.join(', ')}` : ''}`;
}
