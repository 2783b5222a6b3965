/**
 * What this process may do, as data: the command line says what to do about it.
 * Windows asks one thing: whether an administrator's rights are in force.
 */
import type { Privileges, SystemAdvice } from "../../ports.ts";
import { Security } from "./security.ts";

/** What to do on Windows. */
export const WINDOWS_ADVICE: SystemAdvice = {
  rightsName: "an administrator's",
  rights:
    "start it from a terminal that was opened with «Run as administrator»",
  driver: "put wintun.dll (https://www.wintun.net) beside the program",
  ports: "netstat -abno -p udp shows it",
  filter: "start the service «Base Filtering Engine» (sc start bfe)",
};

/** Whether the TUN driver can be had shows in making an adapter. */
export function readPrivileges(): Privileges {
  using security = new Security();
  const isElevated = security.isElevated();
  return {
    userId: isElevated ? 0 : 1,
    netAdmin: isElevated,
    netRaw: isElevated,
    tun: { kind: "usable" },
    advice: WINDOWS_ADVICE,
  };
}
