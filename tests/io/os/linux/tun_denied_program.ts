/** Started by tun_inside.ts with something missing: prints what it may not do. */
import { openLibc } from "../../../../ffi/libc.ts";
import { readPrivileges } from "../../../../src/io/os/linux/privileges.ts";
import { createTun } from "../../../../src/io/os/linux/tun.ts";
import { TunError } from "../../../../src/io/ports.ts";

using libc = openLibc();
const { netAdmin, tun } = readPrivileges(libc);
try {
  createTun(libc, { name: "denied0", offload: "none" });
} catch (error) {
  const code = error instanceof TunError ? error.code : String(error);
  console.log(JSON.stringify({ code, netAdmin, tun: tun.kind }));
}
