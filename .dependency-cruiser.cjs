/**
 * The import arrows between the rooms of `src/`, as docs/architecture.md draws them. Main-thread code (`scheduler`) and
 * worker code (`stages`) meet only in `protocol`; what is pure stays free of tfjs, workers and shared memory.
 * `npm run lint` and `npm test` check them.
 */

/**
 * Anybody may import these, where no other rule forbids it: the errors that Millrace throws, the types both sides agree on, how protocol
 * buffers are written, and TensorFlow.js.
 */
const SHARED = [
  '^src/errors\\.ts$',
  '^src/protocol/',
  '^src/protocol-buffers\\.ts$',
  '^src/median\\.ts$',
  '^src/tf\\.ts$',
];
const TFJS_PACKAGES = 'node_modules/@tensorflow/';
const TFJS = `${TFJS_PACKAGES}|^src/tf\\.ts$`;
const OUTSIDE_SRC = ['^node_modules/', '^node:'];

/**
 * A room may import itself, what is shared, and the rooms that are listed; packages are another rule's matter.
 * @param {string} name
 * @param {string} room a pattern below src/
 * @param {string[]} allowed patterns
 * @param {string} comment
 */
function room(name, room, allowed, comment) {
  return {
    name,
    comment,
    severity: 'error',
    from: { path: `^src/${room}/` },
    to: { path: '^src/', pathNot: [`^src/${room}/`, ...SHARED, ...allowed] },
  };
}

/**
 * @param {string} name
 * @param {string} room
 * @param {string} forbidden
 * @param {string} comment
 */
function noPackage(name, room, forbidden, comment) {
  return { name, comment, severity: 'error', from: { path: `^src/${room}/` }, to: { path: forbidden } };
}

module.exports = {
  forbidden: [
    {
      name: 'no-cycles',
      comment: 'Two files that import each other are one file, or lack a third.',
      severity: 'error',
      from: { path: '^src/' },
      to: { circular: true },
    },
    {
      name: 'no-orphans',
      comment: 'A file that nothing imports and that imports nothing is dead.',
      severity: 'error',
      from: { orphan: true, path: '^src/', pathNot: '\\.d\\.ts$' },
      to: {},
    },
    {
      name: 'resolvable',
      comment: 'Every import can be found.',
      severity: 'error',
      from: { path: '^src/' },
      to: { couldNotResolve: true },
    },
    {
      name: 'only-declared-packages',
      comment: 'What src/ imports stands in dependencies or peerDependencies.',
      severity: 'error',
      from: { path: '^src/' },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'], pathNot: TFJS_PACKAGES },
    },
    {
      name: 'tfjs-is-required-never-imported',
      comment: 'An import of such a package makes every worker start up to half a second later: see tf.ts.',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/tf\\.ts$' },
      to: { path: TFJS_PACKAGES, dependencyTypesNot: ['type-only', 'require'] },
    },
    {
      name: 'protocol-imports-nothing',
      comment: 'Both sides of every thread boundary depend on protocol; it depends on nobody.',
      severity: 'error',
      from: { path: '^src/protocol/' },
      to: { pathNot: '^src/protocol/' },
    },
    {
      name: 'errors-import-protocol-only',
      comment: 'Any room may throw these errors, so they must not pull in a room.',
      severity: 'error',
      from: { path: '^src/errors\\.ts$' },
      to: { pathNot: '^src/protocol/' },
    },
    {
      name: 'setup-is-self-contained',
      comment: 'The set-up runs before anything is installed or built: Node built-in modules only.',
      severity: 'error',
      from: { path: '^src/setup/' },
      to: { pathNot: '^src/setup/', dependencyTypesNot: ['core'] },
    },
    {
      name: 'setup-is-plain-javascript',
      comment: 'The set-up runs before TypeScript is compiled.',
      severity: 'error',
      from: { path: '^src/setup/' },
      to: { path: '\\.ts$' },
    },
    {
      name: 'nothing-imports-cli',
      comment: 'The command sits on top.',
      severity: 'error',
      from: { pathNot: '^src/cli/' },
      to: { path: '^src/cli/' },
    },
    {
      name: 'nothing-imports-the-public-face',
      comment:
        'pipeline.ts, with the trainer that it makes, and index.ts sit on top of the rooms; rooms do not reach up, except tasks, ' +
        'which stands on pipeline.',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/(cli/|tasks/|(pipeline|index)\\.ts$)' },
      to: { path: '^src/(pipeline|pipelined-model|index)\\.ts$' },
    },
    {
      name: 'scheduler-and-stages-meet-in-protocol',
      comment: 'Main-thread and worker code never import each other.',
      severity: 'error',
      from: { path: '^src/(scheduler|stages)/' },
      to: { path: '^src/(scheduler|stages)/', pathNot: '^src/$1/' },
    },
    room(
      'transport-arrows',
      'transport',
      [],
      'transport knows bytes and protocol, not tensors, layers or stages',
    ),
    noPackage('transport-has-no-tfjs', 'transport', TFJS, 'transport knows bytes, not tensors'),
    room(
      'backends-arrows',
      'backends',
      ['^src/tfjs/', '^src/setup/'],
      'backends know tensors, not stages; the set-up tells them how native TensorFlow was obtained',
    ),
    room('tfjs-arrows', 'tfjs', [], 'the one room that touches tfjs internals stands below all rooms'),
    room('model-arrows', 'model', ['^src/tfjs/'], 'model knows tfjs layers and protocol'),
    room('plan-arrows', 'scheduler/plan', ['^src/model/'], 'planning is pure'),
    {
      name: 'plan-imports-only-types-of-model',
      comment: 'The planner works on numbers and names; importing more than types would load tfjs.',
      severity: 'error',
      from: { path: '^src/scheduler/plan/' },
      to: { path: '^src/model/', dependencyTypesNot: ['type-only'] },
    },
    noPackage(
      'plan-is-pure',
      'scheduler/plan',
      `${TFJS}|^(node:)?worker_threads$|node_modules/(piscina|comlink|rxjs)/`,
      'the planner can run anywhere, without kernels and workers',
    ),
    room(
      'driver-arrows',
      'scheduler/driver',
      ['^src/transport/', '^src/scheduler/plan/', '^src/model/', '^src/tfjs/', '^src/options\\.ts$'],
      'the driver feeds and watches workers; what they run is theirs',
    ),
    {
      name: 'driver-imports-only-types-of-options',
      comment: 'Options are parsed once, at the top; the driver is handed the result.',
      severity: 'error',
      from: { path: '^src/scheduler/driver/' },
      to: { path: '^src/options\\.ts$', dependencyTypesNot: ['type-only'] },
    },
    room(
      'profiles-arrows',
      'profiles',
      ['^src/scheduler/driver/profile-store\\.ts$', '^src/io/atomic-write\\.ts$', '^src/setup/index\\.js$'],
      'profiles keeps what the driver has measured, in the same folder as the set-up',
    ),
    {
      name: 'profiles-imports-only-types-of-driver',
      comment: 'It is handed to the driver and knows the interface alone.',
      severity: 'error',
      from: { path: '^src/profiles/' },
      to: { path: '^src/scheduler/driver/', dependencyTypesNot: ['type-only'] },
    },
    room(
      'stages-arrows',
      'stages',
      ['^src/model/', '^src/transport/', '^src/backends/', '^src/tfjs/'],
      'what runs in a worker',
    ),
    {
      name: 'page-imports-itself-alone',
      comment: 'These modules run in a browser, joined to one script; of the rest they see types.',
      severity: 'error',
      from: { path: '^src/report/timeline/page/' },
      to: { pathNot: '^src/report/timeline/page/', dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'nothing-imports-tasks',
      comment: 'Running several trainings stands on running one.',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/(tasks/|index\\.ts$)' },
      to: { path: '^src/tasks/' },
    },
    room(
      'tasks-arrows',
      'tasks',
      [
        '^src/(pipeline|pipelined-model|options|pipeline-options)\\.ts$',
        '^src/report/',
        '^src/scheduler/driver/(worker-shelf|data/dataset|data/tensors|fit/index)\\.ts$',
      ],
      'a task is a trainer of its own; of the driver tasks know the threads that they share, and the types of data and arguments',
    ),
    room(
      'cli-arrows',
      'cli',
      ['^src/setup/', '^src/backends/', '^src/report/', '^src/(pipeline|index|setup-modules)\\.ts$'],
      'the command uses the public face, the set-up, and the backends for its checks',
    ),
  ],
  options: {
    doNotFollow: { path: OUTSIDE_SRC },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'require', 'node', 'default', 'types'],
      extensions: ['.js', '.ts', '.mjs', '.cjs', '.json', '.node'],
    },
  },
};
