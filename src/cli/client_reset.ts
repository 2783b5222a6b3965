/** `sluice client --reset`: removes what a client that was killed has left. */
import { askControl } from "../control/control_client.ts";
import { localSockets, openPlatform } from "../io/platform.ts";
import { recoverNames } from "./client_names.ts";
import { UserError } from "./errors.ts";
import { liftLeftKillSwitch } from "./left_kill_switch.ts";
import { writeError } from "./output.ts";
import { requireTun, startupError } from "./startup_error.ts";

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
  let count = 0;
  const tell = (line: string) => {
    count++;
    writeError(`${line}\n`);
  };
  using network = platform.openHostNetwork(journal);
  network.recover().forEach(tell);
  using processes = platform.openProcessTable();
  recoverNames({ platform, journal, processes, onWarning: tell }).forEach(tell);
  try {
    if (liftLeftKillSwitch(platform, journal)) tell("kill switch lifted");
  } catch (error) {
    throw startupError(error, "client", platform.readPrivileges().advice);
  }
  if (count === 0) writeError("nothing was left\n");
}
