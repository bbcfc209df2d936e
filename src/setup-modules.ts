/** Modules of the `setup` option, imported in the main thread as every worker will: their functions are found by identity. */
import { pathToFileURL } from 'node:url';
import { ConfigurationError } from './errors.js';

type Exports = Readonly<Record<string, unknown>>;

/** The modules' exports by URL. */
export async function importSetupModules(paths: readonly string[]): Promise<ReadonlyMap<string, Exports>> {
  const modules = new Map<string, Exports>();
  for (const path of paths) {
    const url = moduleUrl(path);
    modules.set(url, await importSetup(url));
  }
  return modules;
}

function moduleUrl(module: string): string {
  return module.startsWith('file:') ? module : pathToFileURL(module).href;
}

async function importSetup(url: string): Promise<Exports> {
  try {
    return await import(url);
  } catch (error) {
    throw new ConfigurationError(
      'setup',
      `The setup module ${url} cannot be imported: ${(error as Error).message}`,
      {
        cause: error,
      },
    );
  }
}
