/**
 * A relay with many connections at once, in a process of its own: opens them,
 * sends a byte each way over each, closes all, and prints what is left. The
 * arguments: how many, and the port of an echo server on loopback.
 */
import { RelayCount } from "../../../src/datapath/relay/relay_counters.ts";
import { SocketError } from "../../../src/io/ports/stream_sockets.ts";
import { LOOPBACK, openDescriptors, RelayLab } from "./relay_lab.ts";

const [count, port] = Deno.args.map(Number);
/** Connections in the making at once: listeners hold so many. */
const AT_ONCE = 200;

using lab = new RelayLab({
  limits: { connections: count, dialing: AT_ONCE },
});
lab.platform.raiseOpenFileLimit();
lab.rounds();
const descriptorsBefore = openDescriptors();
const rssBefore = Deno.memoryUsage().rss;

for (let row = 0; row < count;) {
  const until = Math.min(count, row + AT_ONCE);
  for (; row < until; row++) lab.dial(row, 1, LOOPBACK, port);
  lab.until(() => lab.loopOpen === until, `${until} are open`);
}

const byte = new Uint8Array(1);
for (const [row, client] of lab.clients) {
  byte[0] = row & 0xff;
  lab.sockets.send(client, byte, 1);
}
const waiting = new Map(lab.clients);
lab.until(() => {
  for (const [row, client] of waiting) {
    const got = lab.sockets.receive(client, byte, 1);
    if (got === -SocketError.WouldBlock) continue;
    if (got !== 1 || byte[0] !== (row & 0xff)) throw new Error(`row ${row}`);
    waiting.delete(row);
  }
  return waiting.size === 0;
}, "every byte comes back");

const rssOpen = Deno.memoryUsage().rss;
const descriptorsOpen = openDescriptors();
for (const client of lab.clients.values()) lab.end(client);
lab.clients.clear();
lab.until(() => lab.loopOpen === 0, "all are over");
const { counts } = lab.counters.snapshot();
console.log(JSON.stringify({
  descriptorsBefore,
  descriptorsOpen,
  descriptorsAfter: openDescriptors(),
  rssBefore,
  rssOpen,
  rssAfter: Deno.memoryUsage().rss,
  finished: lab.counters.get(RelayCount.Finished),
  counts,
}));
