/** What the environment changes: crypto and workers, and for tests timers and load. */
import type { LoadMode } from "../core/wireguard/load_meter.ts";
import {
  PROTOCOL_TIMERS,
  type TimerConstants,
} from "../core/wireguard/timers.ts";
import { AEAD_CHOICES, type AeadName } from "../datapath/crypto/select_aead.ts";
import { ExitCode, UserError } from "./errors.ts";
import { MAX_WORKERS, type WorkerChoice } from "./worker_plan.ts";

const CRYPTO = "SLUICE_CRYPTO";
const WORKERS = "SLUICE_WORKERS";
const TIMERS = "SLUICE_TEST_TIMERS";
const UNDER_LOAD = "SLUICE_TEST_UNDER_LOAD";

/**
 * The crypto that `SLUICE_CRYPTO` names, else the one given.
 * @throws {UserError} for a name that is none.
 */
export function cryptoChoice(configured: AeadName): AeadName {
  const name = Deno.env.get(CRYPTO);
  if (name === undefined || name === "") return configured;
  const choice = AEAD_CHOICES.find((known) => known === name);
  if (choice !== undefined) return choice;
  throw new UserError(
    `${CRYPTO}=${name} names no crypto`,
    `one of ${AEAD_CHOICES.join(", ")}`,
    ExitCode.Usage,
  );
}

/**
 * The workers that `SLUICE_WORKERS` asks for, else those given.
 * @throws {UserError} for anything but `auto`, `single` or a number.
 */
export function workerChoice(configured: WorkerChoice): WorkerChoice {
  const text = Deno.env.get(WORKERS);
  if (text === undefined || text === "") return configured;
  if (text === "auto" || text === "single") return text;
  const count = Number(text);
  if (Number.isInteger(count) && count >= 1 && count <= MAX_WORKERS) {
    return count;
  }
  throw new UserError(
    `${WORKERS}=${text} is no number of workers`,
    `auto, single, or 1 to ${MAX_WORKERS}`,
    ExitCode.Usage,
  );
}

/** The protocol's timers, those that a test shortens changed. */
export function timerConstants(): TimerConstants {
  const text = Deno.env.get(TIMERS);
  if (text === undefined || text === "") return PROTOCOL_TIMERS;
  return { ...PROTOCOL_TIMERS, ...JSON.parse(text) };
}

/** How the under-load state is decided. */
export function loadMode(): LoadMode {
  return Deno.env.get(UNDER_LOAD) === "1" ? "always" : "measured";
}
