/** What the command lines of all measurements have in common. */
import { InvalidArgumentError } from "@commander-js/extra-typings";
import { missingForLab, type Need } from "../support/privileges.ts";

/** An option's value that is a number above 0. */
export function positive(text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new InvalidArgumentError("a number above 0");
  return value;
}

/** Ends the program with what is missing to measure here. */
export async function needs(all: readonly Need[]): Promise<void> {
  const missing = await missingForLab(all);
  if (missing === undefined) return;
  console.error(`can't measure here: ${missing}`);
  Deno.exit(1);
}
