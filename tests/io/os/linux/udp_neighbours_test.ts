/** Which sockets share a port: walks of one port and of all, on a clock of the test's. */
import assert from "node:assert/strict";
import {
  type NetlinkMessage,
  parseMessages,
} from "../../../../src/io/os/linux/netlink_message.ts";
import type { FoundSocket } from "../../../../src/io/os/linux/socket_diag.ts";
import {
  UdpNeighbours,
  type UdpWalker,
} from "../../../../src/io/os/linux/udp_neighbours.ts";
import { flowOf } from "./held_socket.ts";

const CONNECTED = 1;
const AF_INET = 2;

interface Socket {
  readonly inode: number;
  readonly port: number;
}

/** The sockets of a host, all connected to 192.0.2.1:53. */
class Host implements UdpWalker {
  now = 1000;
  readonly sockets: Socket[] = [];
  readonly walks: (number | "all")[] = [];
  readonly neighbours = new UdpNeighbours(this, () => this.now);

  alike(_socket: FoundSocket, localPort?: number): readonly NetlinkMessage[] {
    this.walks.push(localPort ?? "all");
    this.now += localPort === undefined ? 10 : 1;
    return this.sockets
      .filter(({ port }) => localPort === undefined || port === localPort)
      .flatMap((socket) => parseMessages(message(socket)).messages);
  }

  isAlone({ inode, port }: Socket): boolean {
    const socket = { inode, family: AF_INET, state: CONNECTED, userId: 0 };
    const flow = flowOf("udp", `10.0.0.1:${port}`, "192.0.2.1:53");
    return this.neighbours.isAlone(socket, flow);
  }

  open(inode: number, port = 10_000 + inode): Socket {
    const socket = { inode, port };
    this.sockets.push(socket);
    return socket;
  }
}

/** A socket as the kernel's walk tells it. */
function message({ inode, port }: Socket): Uint8Array {
  const bytes = new Uint8Array(16 + 72);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, bytes.length, true);
  view.setUint16(4, 20, true);
  bytes[16] = AF_INET;
  bytes[17] = CONNECTED;
  view.setUint16(20, port);
  view.setUint16(22, 53);
  view.setUint32(24, 0x0a000001);
  view.setUint32(40, 0xc0000201);
  view.setUint32(84, inode, true);
  return bytes;
}

Deno.test("a single flow costs a walk of its port, and none while that is fresh", () => {
  const host = new Host();
  const socket = host.open(1);
  assert.ok(host.isAlone(socket));
  assert.ok(host.isAlone(socket));
  assert.deepEqual(host.walks, [10_001]);
  host.now += 1001;
  assert.ok(host.isAlone(socket));
  assert.deepEqual(host.walks, [10_001, 10_001]);
});

Deno.test("many flows at once are answered by one walk over all", () => {
  const host = new Host();
  const sockets = Array.from({ length: 500 }, (_, i) => host.open(i + 1));
  assert.ok(sockets.every((socket) => host.isAlone(socket)));
  assert.equal(host.walks.filter((walk) => walk === "all").length, 1);
  assert.ok(host.walks.length < 5);
});

Deno.test("while many wait, each walk over all is followed by the next", () => {
  const host = new Host();
  let inode = 0;
  for (let round = 0; round < 10; round++) {
    const waiting = Array.from({ length: 32 }, () => host.open(++inode));
    assert.ok(waiting.every((socket) => host.isAlone(socket)));
  }
  assert.equal(host.walks.filter((walk) => walk === "all").length, 10);
  assert.ok(host.walks.length < 15);
});

Deno.test("flows with time between them never cost a walk over all", () => {
  const host = new Host();
  for (let inode = 1; inode <= 100; inode++) {
    assert.ok(host.isAlone(host.open(inode)));
    host.now += 6;
  }
  assert.ok(!host.walks.includes("all"));
});

Deno.test("flows that come one by one cost no more than twice their own walks", () => {
  const host = new Host();
  const start = host.now;
  for (let inode = 1; inode <= 300; inode++) {
    assert.ok(host.isAlone(host.open(inode)));
  }
  assert.ok(host.now - start <= 2 * 300 + 20, `${host.now - start} ms`);
});

Deno.test("who shares a port is never alone, whichever walk sees it", () => {
  const host = new Host();
  const pairs = Array.from({ length: 100 }, (_, i) => {
    host.open(1000 + i, 20_000 + i);
    return host.open(2000 + i, 20_000 + i);
  });
  assert.ok(!pairs.some((socket) => host.isAlone(socket)));
  assert.ok(host.walks.includes("all"));
});

Deno.test("a walk says nothing of sockets that it has not seen, and not for long", () => {
  const host = new Host();
  const sockets = Array.from({ length: 50 }, (_, i) => host.open(i + 1));
  for (const socket of sockets) host.isAlone(socket);
  assert.ok(host.walks.includes("all"));
  host.open(900, 30_000);
  assert.ok(!host.isAlone(host.open(901, 30_000)));
  host.now += 1001;
  host.open(999, sockets[40].port);
  assert.ok(!host.isAlone(sockets[40]));
});
