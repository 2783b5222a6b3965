/** How many workers move packets, and what each of them does. */
import { TURNSTILE_WORKERS } from "../datapath/turnstile.ts";

/** Workers that a direction may have. */
export const MAX_WORKERS = TURNSTILE_WORKERS;

/** What a user may ask for: `datapath.workers`. */
export type WorkerChoice = "auto" | "single" | number;

/** Which pumps a worker runs. */
export type PumpRole = "open" | "seal" | "both";

/** Equal workers, and how many there are. */
export interface WorkerGroup {
  readonly role: PumpRole;
  readonly workers: number;
}

/**
 * The groups of workers for a machine: one worker for both directions where
 * there is one core, else so many for each direction.
 */
export function planWorkers(
  choice: WorkerChoice,
  cores: number,
): readonly WorkerGroup[] {
  const each = choice === "auto" ? (cores === 1 ? "single" : 1) : choice;
  if (each === "single") return [{ role: "both", workers: 1 }];
  return [{ role: "open", workers: each }, { role: "seal", workers: each }];
}
