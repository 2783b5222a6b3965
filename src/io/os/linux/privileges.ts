/**
 * What this process may do, as data: the command line says what to do about it.
 */
import { cString, type Libc } from "../../../../ffi/libc.ts";
import type { Privileges, SystemAdvice, TunAccess } from "../../ports.ts";

/** The device that TUN interfaces are made with. */
export const TUN_PATH = "/dev/net/tun";

const CAP_NET_ADMIN = 12;
const CAP_NET_RAW = 13;
const EPERM = 1;
const EACCES = 13;
const O_RDWR = 2;
const O_CLOEXEC = 0x80000;

/** What to do on Linux. */
export const LINUX_ADVICE: SystemAdvice = {
  rightsName: "CAP_NET_ADMIN",
  rights: "run it as root: sudo sluice …",
  driver: "load the driver: modprobe tun",
  ports: "ss -ulpn shows it",
  filter: "load the packet filter (modprobe nf_tables)",
};

/** Looks at the effective capabilities and tries to open /dev/net/tun. */
export function readPrivileges(libc: Libc): Privileges {
  const effective = effectiveCapabilities(
    Deno.readTextFileSync("/proc/self/status"),
  );
  return {
    userId: libc.call.geteuid(),
    netAdmin: has(effective, CAP_NET_ADMIN),
    netRaw: has(effective, CAP_NET_RAW),
    tun: tunAccess(libc),
    advice: LINUX_ADVICE,
  };
}

/**
 * The CapEff set in the text of /proc/PID/status; 0 where there is none.
 * Source: capabilities(7), proc_pid_status(5).
 */
export function effectiveCapabilities(status: string): bigint {
  const match = /^CapEff:\s*([0-9a-f]+)$/m.exec(status);
  return match === null ? 0n : BigInt(`0x${match[1]}`);
}

function has(set: bigint, capability: number): boolean {
  return (set >> BigInt(capability) & 1n) === 1n;
}

function tunAccess(libc: Libc): TunAccess {
  const descriptor = libc.call.open(cString(TUN_PATH), O_RDWR | O_CLOEXEC);
  if (descriptor >= 0) {
    libc.call.close(descriptor);
    return { kind: "usable" };
  }
  const code = libc.errno();
  const reason = libc.error("open", code).message;
  return code === EPERM || code === EACCES
    ? { kind: "denied", path: TUN_PATH, reason }
    : { kind: "absent", path: TUN_PATH, reason };
}
