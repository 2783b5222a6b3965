/** Measures what datagrams allocate on their way; prints a line of JSON. */
import { attachPoller } from "../../../../../src/io/os/windows/poller.ts";
import { openSocketLibraries } from "../../../../../src/io/os/windows/socket_libraries.ts";
import { openPlatform } from "../../../../../src/io/platform.ts";
import { Ready } from "../../../../../src/io/ports.ts";
import { OutsideEnd } from "../../../../support/outside_end.ts";
import { numbered } from "../../../../support/packet_arena.ts";
import { target, TunnelEnd } from "../../../../support/tunnel_end.ts";

const BURST = 16;
const TURNS = 400;
const LENGTH = 1000;
/** In the first ones some code is still being optimized, which costs heap by itself. */
const ROUNDS = 6;

declare const gc: () => void;

using platform = openPlatform();
using libraries = openSocketLibraries();

/** @returns bytes for each datagram that is sent and received. */
function measure(turn: () => void): number {
  for (let i = 0; i < TURNS; i++) turn();
  let least = Infinity;
  for (let round = 0; round < ROUNDS; round++) {
    gc();
    const before = Deno.memoryUsage().heapUsed;
    for (let i = 0; i < TURNS; i++) turn();
    const grown = Deno.memoryUsage().heapUsed - before;
    least = Math.min(least, grown / TURNS / BURST);
  }
  return least;
}

function throughTunnel(source: "system" | "sticky"): number {
  using a = new TunnelEnd(platform);
  using b = new TunnelEnd(platform, { source });
  using wake = platform.openWake();
  using set = platform.openPoller();
  using poller = attachPoller(libraries, {
    descriptor: set.descriptor,
    wake: wake.descriptor,
    tunnel: b.opened.descriptor,
  });
  const { words, port } = target(`127.0.0.1:${b.socket.port}`);
  const at = a.arena.put(numbered(1, LENGTH));
  const { batch } = b.arena;
  return measure(() => {
    for (let i = 0; i < BURST; i++) a.socket.queue(at, LENGTH, words, 0, port);
    if (a.socket.flush() !== 0) throw new Error("not sent");
    if (poller.wait(5000) !== Ready.Tunnel) throw new Error("nothing is told");
    batch.clear();
    if (b.socket.receive(batch) !== BURST) throw new Error("not received");
  });
}

function throughOutside(): number {
  using end = new OutsideEnd(platform);
  const { outside, poller, arena } = end;
  const { batch } = arena;
  const near = end.openUdp(4, 1);
  const far = end.openUdp(4, 2);
  const to = `127.0.0.1:${outside.port(far)}`;
  const row = end.appendUdp(to, numbered(1, LENGTH));
  const rows = batch.count;
  return measure(() => {
    for (let i = 0; i < BURST; i++) outside.send(near, batch, row);
    if (outside.flush() !== 0) throw new Error("not sent");
    if (poller.wait(5000) !== Ready.Outside) throw new Error("nothing is told");
    const got = outside.receive(2, poller.outsideHandle(0), batch);
    if (got !== BURST) throw new Error("not received");
    batch.count = rows;
  });
}

console.log(JSON.stringify({
  system: throughTunnel("system"),
  sticky: throughTunnel("sticky"),
  outside: throughOutside(),
}));
