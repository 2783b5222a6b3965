/** What the environment changes: the crypto, and for tests timers and load. */
import type { LoadMode } from "../core/wireguard/load_meter.ts";
import {
  PROTOCOL_TIMERS,
  type TimerConstants,
} from "../core/wireguard/timers.ts";
import { AEAD_CHOICES, type AeadName } from "../datapath/crypto/select_aead.ts";
import { ExitCode, UserError } from "./errors.ts";

const CRYPTO = "SLUICE_CRYPTO";
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
