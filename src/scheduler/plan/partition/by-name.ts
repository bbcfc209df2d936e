/** Cuts a model where the user says: each name is the layer that begins stage 1, 2, …. */
import { beginningOf, checkProblem, listNames, PartitionError } from './errors.js';
import { nearestNames } from './nearest.js';
import type { Cuts, PartitionProblem } from './problem.js';

export function partitionByName(problem: PartitionProblem, names: readonly string[]): Cuts {
  checkProblem(problem, 1);
  const cuts = names.map(name => findCut(problem, name));
  cuts.forEach((cut, index) => {
    const previous = cuts[index - 1];
    if (previous === undefined || cut > previous) return;
    const rule = 'the names must be different and in the order in which the model runs its layers';
    throw new PartitionError(`'${names[index]}' cannot begin a stage behind '${names[index - 1]}': ${rule}`);
  });
  return cuts;
}

function findCut(problem: PartitionProblem, name: string): number {
  const { units, allowedCuts } = problem;
  const unit = units.findIndex(candidate => candidate.layerNames.includes(name));
  if (unit < 0) throw unknownLayer(problem, name);
  if (beginningOf(problem, unit) === name && allowedCuts.includes(unit)) return unit;
  throw new PartitionError(
    `no stage can begin at layer '${name}': ${whyClosed(problem, unit, name)}. ${nearestCuts(problem, unit)}`,
  );
}

function unknownLayer({ units }: PartitionProblem, name: string): PartitionError {
  const known = [...new Set(units.flatMap(({ layerNames }) => layerNames))];
  const near = nearestNames(name, known);
  const hint = near.length > 0 ? `did you mean ${listNames(near)}?` : `its layers are ${listNames(known)}`;
  return new PartitionError(`the model has no layer '${name}'; ${hint}`);
}

function whyClosed(problem: PartitionProblem, unit: number, name: string): string {
  const { layerNames, name: unitName } = problem.units[unit]!;
  if (beginningOf(problem, unit) !== name) {
    return `it lies inside '${unitName}', whose layers ${listNames(layerNames)} stay together`;
  }
  if (unit === 0) return 'it begins the model, and so stage 0';
  return problem.closedCuts?.get(unit) ?? 'the model cannot be cut before it';
}

function nearestCuts(problem: PartitionProblem, unit: number): string {
  const { allowedCuts } = problem;
  const before = allowedCuts.findLast(cut => cut < unit);
  const after = allowedCuts.find(cut => cut > unit);
  const near = [before, after].filter(cut => cut !== undefined).map(cut => beginningOf(problem, cut));
  return near.length > 0
    ? `The nearest layers that can begin a stage: ${listNames(near)}`
    : 'It cannot be cut at all';
}
