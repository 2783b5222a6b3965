/**
 * What this process may do, as data: the command line says what to do about it.
 * Windows asks one thing: whether an administrator's rights are in force.
 */
import type { Privileges, TunAccess } from "../../ports.ts";
import { Security } from "./security.ts";

/** @param tun whether the driver's library can be had. */
export function readPrivileges(tun: TunAccess): Privileges {
  using security = new Security();
  const isElevated = security.isElevated();
  return {
    userId: isElevated ? 0 : 1,
    netAdmin: isElevated,
    netRaw: isElevated,
    tun,
  };
}
