/** `sluice client --reset`: removes what a client that was killed has left. */
import { askControl } from "../control/control_client.ts";
import { localSockets, openPlatform } from "../io/platform.ts";
import { CLIENT_MARK } from "./client_mark.ts";
import { recoverNames } from "./client_names.ts";
import { UserError } from "./errors.ts";
import { writeError } from "./output.ts";
import { requireTun } from "./startup_error.ts";

/**
 * Undoes addresses, routes, rules, resolv.conf, and lifts the kill switch last.
 * @throws {UserError} where a client runs.
 */
export async function resetClient(): Promise<void> {
  for (const socket of localSockets().client()) {
    const { kind } = await askControl(socket, { verb: "status" });
    if (kind === "absent") continue;
    throw new UserError("a client runs", "end it: it undoes everything itself");
  }
  using platform = openPlatform();
  requireTun(platform.readPrivileges(), "client");
  const journal = platform.openJournal();
  using network = platform.openHostNetwork(journal);
  const lines = [...network.recover()];
  using processes = platform.openProcessTable();
  const onWarning = (text: string) => void lines.push(text);
  lines.push(...recoverNames({ platform, journal, processes, onWarning }));
  using killSwitch = platform.openKillSwitch({ journal, mark: CLIENT_MARK });
  if (killSwitch.state().kind === "on") {
    killSwitch.lift();
    lines.push("kill switch lifted");
  }
  for (const line of lines) writeError(`${line}\n`);
  if (lines.length === 0) writeError("nothing was left\n");
}
