import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { canonicalWeights, cutModel, describeStages, readGraph } from '#internal/model/index.js';
import { trainableWeights } from '#internal/model/trainable.js';
import { StageLayers } from '#internal/stages/layers.js';
import { elementsIn, sharedBytesOf } from '#internal/tfjs/bytes.js';
import { compiled } from '#internal/tfjs/internals.js';
import { useBackend } from '../helpers/backends.js';
import { expectTensorsClose } from '../helpers/compare.js';
import { seedWeights } from '../helpers/data.js';
import { MODEL_KINDS, nested, normalized } from '../helpers/models.js';

function innerModel(): tf.Sequential {
  return tf.sequential({
    layers: [
      tf.layers.dense({ inputShape: [3], units: 4, name: 'inner_a' }),
      tf.layers.batchNormalization({ name: 'inner_b' }),
      tf.layers.dense({ units: 2, name: 'inner_c' }),
    ],
  });
}

const shapesOf = (layer: tf.layers.Layer): unknown[] => canonicalWeights(layer).map(({ shape }) => shape);

const KINDS = [...MODEL_KINDS, normalized].map(kind => [kind.name, kind] as const);

describe('the weights of a layer', () => {
  beforeAll(() => useBackend('cpu'));

  it('keep their order whatever is frozen inside', () => {
    const inner = innerModel();
    const weights = canonicalWeights(inner);
    expect(shapesOf(inner)).toEqual([[3, 4], [4], [4], [4], [4], [4], [4, 2], [2]]);
    inner.layers[0]!.trainable = false;
    expect(canonicalWeights(inner)).toEqual(weights);
    // tfjs's own order moves, which is why there is another one.
    expect(inner.weights).not.toEqual(weights);
    inner.trainable = false;
    expect(canonicalWeights(inner)).toEqual(weights);
  });

  it('come in the same order in wrappers and recurrent layers, each once', () => {
    const recurrent = tf.layers.bidirectional({
      layer: tf.layers.lstm({ units: 2 }) as tf.RNN,
      mergeMode: 'concat',
    });
    recurrent.build([null, 3, 4]);
    expect(shapesOf(recurrent)).toEqual([[4, 8], [2, 8], [8], [4, 8], [2, 8], [8]]);
    expect(new Set(canonicalWeights(recurrent))).toEqual(new Set(recurrent.weights));
    const distributed = tf.layers.timeDistributed({ layer: tf.layers.dense({ units: 2 }) });
    distributed.build([null, 3, 4]);
    expect(shapesOf(distributed)).toEqual([[4, 2], [2]]);
  });

  it.each(KINDS)('are each one of the trainable ones of %s or not', (_, { build, loss }) => {
    const model = build();
    model.compile({ optimizer: 'sgd', loss });
    const graph = readGraph(model);
    const trainable = trainableWeights(graph);
    expect(trainable.map(({ order }) => order)).toEqual(model.trainableWeights.map((_, index) => index));
    const variables = trainable.map(
      ({ places: [place] }) => canonicalWeights(graph.layers[place!.layer]!.layer)[place!.weight],
    );
    expect(variables).toEqual(compiled(model).collectedTrainableWeights);
    expect(trainable.map(({ positions }) => positions)).toEqual(variables.map((_, index) => [index]));
    model.dispose();
  });

  it('count as trainable as they did when the model was compiled', () => {
    const model = nested.build();
    model.compile({ optimizer: 'sgd', loss: nested.loss });
    const before = trainableWeights(readGraph(model));
    model.layers[0]!.trainable = false;
    const after = trainableWeights(readGraph(model));
    expect(after.map(weight => ({ ...weight, frozen: false }))).toEqual(before);
    // What is frozen later keeps its place in the optimizer.
    expect(after.map(({ places, frozen }) => frozen === (places[0]!.layer === 0))).not.toContain(false);
    model.compile({ optimizer: 'sgd', loss: nested.loss });
    expect(trainableWeights(readGraph(model))).toHaveLength(before.length - 2);
  });

  it.each(KINDS)('find their places in rebuilt stages of %s', (_, { build, loss }) => {
    const model = build();
    seedWeights(model, 3);
    model.compile({ optimizer: 'sgd', loss });
    const graph = readGraph(model);
    const cut = cutModel(graph, [graph.nodes.length - 1]);
    const trainable = new Map(trainableWeights(graph).map(found => [found.order, found]));
    for (const spec of describeStages(cut)) {
      // Specs cross threads by cloning.
      const layers = new StageLayers(structuredClone(spec));
      const originals = cut.stages[spec.stage]!.layers.flatMap(layer =>
        canonicalWeights(graph.layers[layer]!.layer),
      );
      layers.write(sharedBytesOf(originals.map(weight => elementsIn(weight.read()))));
      for (const ref of spec.trainable) {
        const { layer, weight } = trainable.get(ref.order)!.places[0]!;
        const original = canonicalWeights(graph.layers[layer]!.layer)[weight]!.read();
        expectTensorsClose([layers.variable(ref)], [original], `weight ${ref.order}`, 0);
      }
      const read = layers.variables().map(variable => [...variable.dataSync()]);
      expect(read).toEqual(originals.map(weight => [...weight.read().dataSync()]));
      layers.dispose();
    }
    model.dispose();
  });
});
