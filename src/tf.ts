/**
 * TensorFlow.js, as every file of Millrace gets it. It is `require`d, which `import` from a CommonJS package is not: before Node runs
 * such a package for `import`, it searches the source for names of exports, with a lexer that in a worker is plain
 * JavaScript and takes 0.3 s of wall time and 0.5 s of processor time for tfjs's bundle of 3 MB: half of a worker's start.
 */
import tf = require('@tensorflow/tfjs');

export { tf };
