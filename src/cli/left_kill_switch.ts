/** A kill switch that an earlier run has left in force. */
import type { Platform } from "../io/platform.ts";
import { type Journal, KillSwitchError } from "../io/ports.ts";
import { CLIENT_MARK } from "./client_mark.ts";

/**
 * Lifts one, if there is one; none is where the system has no packet filter.
 * @returns whether there was one
 * @throws {KillSwitchError} where it can't be lifted
 */
export function liftLeftKillSwitch(
  platform: Pick<Platform, "openKillSwitch">,
  journal: Journal,
): boolean {
  try {
    using left = platform.openKillSwitch({ journal, mark: CLIENT_MARK });
    if (left.state().kind === "off") return false;
    left.lift();
    return true;
  } catch (error) {
    const isNowhere = error instanceof KillSwitchError &&
      error.problem === "unsupported";
    if (isNowhere) return false;
    throw error;
  }
}
