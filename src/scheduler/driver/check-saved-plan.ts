/** Whether a plan that was saved belongs to a model. */
import { ConfigurationError } from '../../errors.js';
import { cutModel, cutPoints, type ModelGraph } from '../../model/index.js';
import type { ResolvedOptions } from '../../options.js';

type SavedPlan = NonNullable<ResolvedOptions['plan']>;

/** @throws ConfigurationError that names the first difference between the plan and the model, or in the plan itself */
export function checkSavedPlan(graph: ModelGraph, plan: SavedPlan): void {
  const { cuts, layerCalls, schedule, stages, costs } = plan;
  const { name } = graph.model;
  if (layerCalls !== graph.nodes.length) {
    throw refusal(
      `it was made for a model with ${layerCalls} layer calls, but the model '${name}' has ${graph.nodes.length}`,
    );
  }
  const allowed = cutPoints(graph);
  const wrong = cuts.find((cut, index) => !allowed.includes(cut) || cut <= (cuts[index - 1] ?? 0));
  if (wrong !== undefined) {
    throw refusal(
      `it cuts before layer call ${wrong}, where the model '${name}' cannot be cut, or not in this order`,
    );
  }
  const counts = {
    cuts: cuts.length + 1,
    'a schedule': schedule.stageCount,
    stages: stages.length,
    costs: costs?.stages.length ?? stages.length,
    'prices of messages': costs === undefined ? stages.length : costs.messages.length + 1,
    'prices of exchanges': costs?.replicaMessageMs.length ?? stages.length,
  };
  for (const [part, count] of Object.entries(counts)) {
    if (count !== stages.length)
      throw refusal(`it lists ${stages.length} stages, but has ${part} for ${count}`);
  }
  for (const { index, layers } of cutModel(graph, cuts).stages) {
    const own = layers.map(layer => graph.layers[layer]!.name);
    const saved = stages[index]!.layers;
    const place = own.findIndex((layer, position) => layer !== saved[position]);
    if (place < 0 && own.length === saved.length) continue;
    const at = place < 0 ? own.length : place;
    throw refusal(
      `layer ${at} of stage ${index} is ${quoted(saved[at])} in it, and ${quoted(own[at])} in the model '${name}'`,
    );
  }
}

function refusal(difference: string): ConfigurationError {
  return new ConfigurationError(
    'plan',
    `Option 'plan' does not belong to this model: ${difference}. Leave it out to have the model planned anew.`,
  );
}

function quoted(name: string | undefined): string {
  return name === undefined ? 'missing' : `'${name}'`;
}
