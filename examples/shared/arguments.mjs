/** What the command lines of all examples have in common. */
import { InvalidArgumentError, Option } from 'commander';

export function backendOption() {
  return new Option('--backend <name>', 'engine of the workers')
    .choices(['auto', 'tensorflow', 'wasm', 'cpu'])
    .default('auto');
}

export function timelineOption() {
  return new Option(
    '--timeline <file>',
    'write what the workers did in the last steps: .html for a browser, .json for Perfetto',
  );
}

export function countOrAuto(text) {
  return text === 'auto' ? text : count(text);
}

export function count(text) {
  if (!/^[1-9]\d*$/.test(text)) throw new InvalidArgumentError('It must be a whole number of at least 1.');
  return Number(text);
}
