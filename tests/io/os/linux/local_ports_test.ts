/** Which local ports outgoing connections get, on a virtual clock. */
import assert from "node:assert/strict";
import { LocalPorts } from "../../../../src/io/os/linux/local_ports.ts";

const ignore = Deno.build.os !== "linux";
const MANY = 8192;

function take(ports: LocalPorts, count: number): number[] {
  return Array.from({ length: count }, () => ports.next());
}

Deno.test({
  name:
    "the system chooses while there are few, then ports of its range are named",
  ignore,
  fn() {
    let now = 1000;
    const ports = new LocalPorts(() => now);
    assert.ok(take(ports, MANY).every((port) => port === 0));
    const named = take(ports, 1000);
    const [first, last] = Deno.readTextFileSync(
      "/proc/sys/net/ipv4/ip_local_port_range",
    ).trim().split(/\s+/).map(Number);
    assert.ok(named.every((port) => port >= first && port <= last));
    assert.ok(new Set(named).size > 500, "not always the same");

    now += 60_000;
    assert.notEqual(ports.next(), 0, "those of the minute before still count");
    now += 60_000;
    assert.equal(ports.next(), 0);
    now += 600_000;
    assert.equal(ports.next(), 0);
  },
});
