#!/usr/bin/env node
/** The `millrace` command. Each subcommand has a file of its own. */
import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { MillraceError } from '../errors.js';
import { SetupError } from '../setup/index.js';
import { doctorCommand } from './doctor.js';
import { planCommand } from './plan.js';
import { setupCommand } from './setup.js';

function createProgram(): Command {
  const { version, description } = JSON.parse(
    readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
  ) as { version: string; description: string };
  const program = new Command('millrace')
    .description(description)
    .version(version)
    .showHelpAfterError()
    .addCommand(doctorCommand())
    .addCommand(planCommand())
    .addCommand(setupCommand());
  // Commander's own message would name only the nearest match.
  program.on('command:*', ([unknown]: string[]) => {
    const known = program.commands.map(command => command.name()).join(', ');
    program.error(`millrace: unknown command '${unknown}'; known are ${known}`, { exitCode: 2 });
  });
  return program;
}

try {
  await createProgram().parseAsync();
} catch (error) {
  if (!(error instanceof SetupError || error instanceof MillraceError)) throw error;
  console.error(`millrace: ${error.message}`);
  if (error instanceof SetupError && error.remedy !== null)
    console.error(`millrace: what to do: ${error.remedy}`);
  process.exitCode = 1;
}
