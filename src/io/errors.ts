/** The error of reading or writing a model's files. */
import { MillraceError } from '../errors.js';

/** What is wrong with a model's files. */
export type ModelFileProblem =
  /** The path does not exist. */
  | 'missing'
  /** A directory without a model.json, or a path that is of the wrong kind. */
  | 'not-a-model'
  /** model.json is not JSON, or not the JSON of a model. */
  | 'malformed'
  /** A weight file that model.json names does not exist. */
  | 'missing-weights'
  /** The weight files hold fewer or more bytes than model.json says. */
  | 'wrong-size'
  /** The artifacts cannot be written in this format. */
  | 'unsupported'
  /** The file system refused. */
  | 'file-system';

/** A model cannot be loaded from or saved to files. `cause` keeps what the file system or the parser said. */
export class ModelFileError extends MillraceError {
  readonly problem: ModelFileProblem;
  /** The file or directory that the problem is with. */
  readonly path: string;

  constructor(problem: ModelFileProblem, path: string, message: string, options?: ErrorOptions) {
    super('MILLRACE_MODEL_FILE', message, options);
    this.problem = problem;
    this.path = path;
  }
}

/** The code of an error of `node:fs`, such as `ENOENT`. */
export function fileSystemCode(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException | undefined)?.code;
}
