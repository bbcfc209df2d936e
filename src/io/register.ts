/**
 * Makes `file://` paths work in `model.save()` and `tf.loadLayersModel()` when no native backend does.
 *
 * tfjs asks all registered routers and refuses a path that two of them take, and tfjs-node may be loaded before Millrace or
 * after it. So the router looks, each time it is asked, whether another one takes the path, and then leaves it to that.
 */
import { tf } from '../tf.js';
import { fileSystem } from './file-system.js';

const SCHEME = 'file://';

/** What a router answers to a path that is not its own; tfjs's types forgot it. */
const NOT_MINE = null as unknown as tf.io.IOHandler;

/** Two copies of Millrace in one program would each leave every path to the other. */
const REGISTERED = Symbol.for('millrace.fileRouters');

type Router = Parameters<typeof tf.io.registerSaveRouter>[0];
type AskRouters = (url: string) => readonly tf.io.IOHandler[];

function routerThatYields(askAll: AskRouters): Router {
  let isAsking = false;
  return url => {
    if (isAsking || typeof url !== 'string' || !url.startsWith(SCHEME)) return NOT_MINE;
    isAsking = true;
    try {
      if (askAll(url).length > 0) return NOT_MINE;
    } finally {
      isAsking = false;
    }
    // As in tfjs-node, what follows the scheme is a path as it stands, relative ones and spaces included.
    return fileSystem(url.slice(SCHEME.length));
  };
}

const marks = globalThis as { [REGISTERED]?: true };
if (marks[REGISTERED] === undefined) {
  marks[REGISTERED] = true;
  tf.io.registerSaveRouter(routerThatYields(url => tf.io.getSaveHandlers(url)));
  tf.io.registerLoadRouter(routerThatYields(url => tf.io.getLoadHandlers(url)));
}
