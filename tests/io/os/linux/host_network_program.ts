/**
 * Started by host_network_inside.ts: takes the interface of its first argument,
 * applies addresses and routes, tells so and waits to be killed.
 */
import { openLibc } from "../../../../ffi/libc.ts";
import { openHostNetwork } from "../../../../src/io/os/linux/host_network.ts";
import { openJournal } from "../../../../src/io/os/linux/journal.ts";
import { createTun } from "../../../../src/io/os/linux/tun.ts";
import { interfaceConfig } from "../../../contract/interface_config.ts";

const [name, directory, socket] = Deno.args;
const libc = openLibc();
createTun(libc, { name, offload: "none" });
const journal = openJournal({ directories: [directory] });
journal.record("uapi", [{ kind: "file", path: socket }]);
export const listener: Disposable = Deno.listen({
  transport: "unix",
  path: socket,
});
const network = openHostNetwork({ libc, journal });
network.apply(interfaceConfig({
  name,
  addresses: ["10.77.0.1/24", "fd77::1/64"],
  routes: ["10.99.0.0/16", "fd99::/16"],
}));
console.log("applied");
// Stays until it is killed.
setInterval(() => {}, 1 << 30);
