/** The text of a counted loop, the one control structure that the routines need. */
export interface CountedLoop {
  /** An i32 local: the counter, and the name of the loop. */
  readonly counter: string;
  /** Instructions that leave the first value, the limit (exclusive, signed) and the step on the stack. */
  readonly from: string;
  readonly to: string;
  readonly step: string;
  readonly body: string;
}

/** `for (counter = from; counter < to; counter += step) body`. */
export function countedLoop({ counter, from, to, step, body }: CountedLoop): string {
  return `
    ${from} local.set ${counter}
    block ${counter}-done
      loop ${counter}
        local.get ${counter} ${to} i32.ge_s br_if ${counter}-done
        ${body}
        local.get ${counter} ${step} i32.add local.set ${counter}
        br ${counter}
      end
    end`;
}
