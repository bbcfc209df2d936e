/** Runs an example's main function and tells how it failed. */
import { MillraceError } from 'millrace';

/** What an example says itself about its own result. */
export class ExampleError extends Error {}

export async function run(main) {
  try {
    await main();
  } catch (error) {
    // What Millrace refuses, it explains; anything else is a bug and needs its stack.
    const isExplained = error instanceof MillraceError || error instanceof ExampleError;
    console.error(`\n${isExplained ? error.message : error.stack}`);
    process.exitCode = 1;
  }
}
