/**
 * What has to be undone when the process ends before the work is done: child processes to kill, locks to release.
 * Covers `process.exit`, uncaught errors and the signals a terminal or a supervisor sends. SIGKILL and power cuts
 * cannot be covered, which is why nothing in the set-up relies on this for correctness.
 */

const SIGNALS = /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP']);

/** @type {Set<() => void>} */
const undoActions = new Set();

function undoAll() {
  for (const undo of [...undoActions].reverse()) {
    undoActions.delete(undo);
    try {
      undo();
    } catch {
      // The process is ending; the other actions still deserve their turn.
    }
  }
}

/** @param {NodeJS.Signals} signal */
function onSignal(signal) {
  undoAll();
  stopListening();
  // Dies of the same signal, so that the parent sees what happened. Other listeners keep their say.
  if (process.listenerCount(signal) === 0) process.kill(process.pid, signal);
}

function startListening() {
  process.on('exit', undoAll);
  for (const signal of SIGNALS) process.on(signal, onSignal);
}

function stopListening() {
  process.off('exit', undoAll);
  for (const signal of SIGNALS) process.off(signal, onSignal);
}

/**
 * @param {() => void} undo synchronous; runs at most once
 * @returns {() => void} call it when the work is done and nothing is left to undo
 */
export function onEarlyEnd(undo) {
  if (undoActions.size === 0) startListening();
  undoActions.add(undo);
  return () => {
    if (undoActions.delete(undo) && undoActions.size === 0) stopListening();
  };
}
