/**
 * Measures what the relay allocates per message that it moves, over real
 * sockets, many connections in a round; see ../allocation_test.ts for how.
 * Prints a line of JSON.
 */
import { RelayLab } from "./relay_lab.ts";

const CONNECTIONS = 50;
const TURNS = 500;
const WARM_UP = 500;
const LENGTH = 100;

declare const gc: () => void;

using lab = new RelayLab();
const ends = Array.from({ length: CONNECTIONS }, (_, row) => lab.connect(row));
const bytes = new Uint8Array(LENGTH);
const room = new Uint8Array(LENGTH);

/** A message on each connection, and back. */
function turn(): void {
  for (let i = 0; i < CONNECTIONS; i++) {
    lab.sockets.send(ends[i].client, bytes, LENGTH);
  }
  lab.loop.round();
  for (let i = 0; i < CONNECTIONS; i++) {
    pass(ends[i].outside);
    lab.sockets.send(ends[i].outside, bytes, LENGTH);
  }
  lab.loop.round();
  for (let i = 0; i < CONNECTIONS; i++) pass(ends[i].client);
}

function pass(descriptor: number): void {
  while (lab.sockets.receive(descriptor, room, LENGTH) !== LENGTH) {
    lab.loop.round();
  }
}

for (let i = 0; i < WARM_UP; i++) turn();
let least = Infinity;
for (let round = 0; round < 3; round++) {
  gc();
  const before = Deno.memoryUsage().heapUsed;
  for (let i = 0; i < TURNS; i++) turn();
  const grown = Deno.memoryUsage().heapUsed - before;
  least = Math.min(least, grown / (TURNS * CONNECTIONS * 2));
}
console.log(JSON.stringify({ perMessage: least }));
