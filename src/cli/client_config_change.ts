/** What becomes of a running client when its configuration changes, and what of that only a restart brings. */
import type { ClientConfig } from "../config/client_config.ts";

/** A change of the configuration. */
export interface ClientConfigChange {
  /** What is in force from now on. */
  readonly config: ClientConfig;
  readonly killSwitch: "changed" | "same";
  /** What needs a restart, a line each. */
  readonly lines: readonly string[];
}

/** Sections that are made use of at the start alone. */
const START_ONLY = ["capture", "controlSocket", "datapath", "log"] as const;

/**
 * Compares the configuration in force with another one. What is made at the
 * start stays as it is until the next one.
 */
export function changeClientConfig(
  before: ClientConfig,
  wanted: ClientConfig,
): ClientConfigChange {
  const { capture, controlSocket } = before;
  return {
    config: { ...wanted, capture, controlSocket },
    killSwitch: isSame(before.killSwitch, wanted.killSwitch)
      ? "same"
      : "changed",
    lines: restartLines(before, wanted),
  };
}

function restartLines(before: ClientConfig, wanted: ClientConfig): string[] {
  const lines: string[] = [];
  if (before.killSwitch.allowLan !== wanted.killSwitch.allowLan) {
    lines.push("killSwitch.allowLan: its routes need a restart");
  }
  const { fragments } = wanted.rules.policies;
  if (before.rules.policies.fragments !== fragments) {
    lines.push("a change of fragments needs a restart");
  }
  for (const section of START_ONLY) {
    if (isSame(before[section], wanted[section])) continue;
    lines.push(`a change of ${section} needs a restart`);
  }
  return lines;
}

function isSame(left: unknown, right: unknown): boolean {
  return JSON.stringify(left) === JSON.stringify(right);
}
