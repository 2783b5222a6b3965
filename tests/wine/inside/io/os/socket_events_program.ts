/** Measures what a wait allocates, level and edge; prints a line of JSON. */
import { LoopbackPair } from "../../../../../src/io/outbound/loopback_pair.ts";
import { openPlatform } from "../../../../../src/io/platform.ts";
import {
  SocketEvent,
  SocketTrigger,
} from "../../../../../src/io/ports/socket_events.ts";

const TURNS = 1000;
const LENGTH = 100;

declare const gc: () => void;

using platform = openPlatform();
const sockets = platform.openStreamSockets();
using events = platform.openSocketEvents();
const [near, far] = connectedEnds();
const bytes = new Uint8Array(LENGTH);
const room = new Uint8Array(LENGTH * 2);

/** Both ends of a connection. */
function connectedEnds(): [near: number, far: number] {
  using pair = new LoopbackPair(sockets);
  events.add(pair.listener, SocketEvent.Readable, 0);
  if (events.wait(5000) !== 1) throw new Error("nobody comes");
  events.remove(pair.listener);
  if (pair.advance() !== 0) throw new Error("no pair");
  return [pair.takeNear(), pair.takeFar()];
}

/** A message, told and thrown away. */
function turn(): void {
  sockets.send(far, bytes, LENGTH);
  if (events.wait(5000) !== 1) throw new Error("nothing is told");
  const count = sockets.peek(near, room, room.length);
  if (sockets.discard(near, room, count) !== count) throw new Error("no bytes");
}

function measure(): number {
  for (let i = 0; i < TURNS; i++) turn();
  let least = Infinity;
  for (let round = 0; round < 3; round++) {
    gc();
    const before = Deno.memoryUsage().heapUsed;
    for (let i = 0; i < TURNS; i++) turn();
    const grown = Deno.memoryUsage().heapUsed - before;
    least = Math.min(least, grown / TURNS);
  }
  return least;
}

events.add(near, SocketEvent.Readable, 1);
const level = measure();
const wants = SocketEvent.Readable | SocketEvent.ReadFinished;
events.change(near, wants | SocketTrigger.Edge, 1);
const edge = measure();
console.log(JSON.stringify({ level, edge }));
