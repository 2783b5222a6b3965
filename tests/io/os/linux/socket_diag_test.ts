/** Questions to sock_diag: bytes by hand; which sockets a flow may be of. */
import assert from "node:assert/strict";
import fc from "fast-check";
import {
  parseAddress,
  parseEndpoint,
} from "../../../../src/core/wire/address.ts";
import type { FlowEnds } from "../../../../src/io/ports.ts";
import { parseMessages } from "../../../../src/io/os/linux/netlink_message.ts";
import {
  readCandidate,
  readSocket,
  udpDump,
  writeQuestion,
} from "../../../../src/io/os/linux/socket_diag.ts";
import { hex } from "./hex.ts";

function flow(
  protocol: "tcp" | "udp",
  local: string,
  remote: string,
  interfaceIndex?: number,
): FlowEnds {
  const a = parseEndpoint(local)!;
  const b = parseEndpoint(remote)!;
  return {
    protocol,
    local: a.words,
    localPort: a.port,
    remote: b.words,
    remotePort: b.port,
    interfaceIndex,
  };
}

function question(of: FlowEnds): Uint8Array {
  const bytes = new Uint8Array(72);
  writeQuestion(bytes, of, of);
  return bytes.subarray(16);
}

Deno.test("TCP is asked for with our own end first", () => {
  assert.deepEqual(
    question(flow("tcp", "10.8.0.2:41234", "192.0.2.1:443", 7)),
    hex(`
      02 06 00 00 ffffffff                # AF_INET, TCP, no extensions, any state
      a112 01bb                           # ports
      0a080002 000000000000000000000000   # ours
      c0000201 000000000000000000000000   # theirs
      07000000 ffffffff ffffffff          # interface, no cookie`),
  );
});

Deno.test("UDP is asked for the other way round, IPv6 in whole", () => {
  assert.deepEqual(
    question(flow("udp", "[2001:db8::2]:5353", "[2001:db8::1]:53")),
    hex(`
      0a 11 00 00 ffffffff
      0035 14e9
      20010db8000000000000000000000001
      20010db8000000000000000000000002
      00000000 ffffffff ffffffff`),
  );
});

Deno.test("the dump of UDP sockets names a family, a port and states", () => {
  assert.deepEqual(
    udpDump(2, { localPort: 0x1234, states: 1 << 7 }).finish(9),
    hex(`
      48000000 1400 0103 09000000 00000000
      02 11 00 00 80000000
      1234 ${"00".repeat(46)}`),
  );
});

interface Answer {
  readonly family: 4 | 6;
  readonly local: string;
  readonly localPort: number;
  readonly remote?: string;
  readonly remotePort?: number;
  readonly device?: number;
  readonly only6?: boolean;
}

/** A socket as the kernel's dump tells it. */
function answer(socket: Answer): Uint8Array {
  const bytes = new Uint8Array(16 + 72 + 8);
  const view = new DataView(bytes.buffer);
  const put = (at: number, text: string | undefined) => {
    if (text === undefined) return;
    const words = parseAddress(text)!;
    if (socket.family === 4) view.setUint32(at, words[3]);
    else words.forEach((word, i) => view.setUint32(at + 4 * i, word));
  };
  view.setUint32(0, bytes.length, true);
  view.setUint16(4, 20, true);
  bytes[16] = socket.family === 4 ? 2 : 10;
  bytes[17] = 7;
  view.setUint16(20, socket.localPort);
  view.setUint16(22, socket.remotePort ?? 0);
  put(24, socket.local);
  put(40, socket.remote);
  view.setUint32(56, socket.device ?? 0, true);
  view.setUint32(80, 1000, true);
  view.setUint32(84, 4711, true);
  // INET_DIAG_SKV6ONLY
  bytes.set([5, 0, 11, 0, socket.only6 ? 1 : 0], 88);
  return bytes;
}

function fit(of: FlowEnds, socket: Answer): number | undefined {
  const [message] = parseMessages(answer(socket)).messages;
  const candidate = readCandidate(message, of);
  if (candidate === undefined) return undefined;
  assert.deepEqual(
    [candidate.inode, candidate.userId, candidate.state],
    [4711, 1000, 7],
  );
  return candidate.fit;
}

Deno.test("connected fits better than bound, bound better than any address", () => {
  const four = flow("udp", "10.0.0.1:500", "192.0.2.9:53", 3);
  const localPort = 500;
  const any = fit(four, { family: 4, local: "0.0.0.0", localPort })!;
  const both = fit(four, { family: 6, local: "::", localPort })!;
  const bound = fit(four, { family: 4, local: "10.0.0.1", localPort })!;
  const connected = fit(four, {
    family: 4,
    local: "10.0.0.1",
    localPort,
    remote: "192.0.2.9",
    remotePort: 53,
  })!;
  const mapped = fit(four, {
    family: 6,
    local: "::ffff:10.0.0.1",
    localPort,
    remote: "::ffff:192.0.2.9",
    remotePort: 53,
  })!;
  assert.ok(both < any && any < bound && bound < mapped && mapped < connected);
});

Deno.test("what cannot be the flow's is none of its candidates", () => {
  const four = flow("udp", "10.0.0.1:500", "192.0.2.9:53", 3);
  const others: Answer[] = [
    { family: 4, local: "0.0.0.0", localPort: 501 },
    { family: 4, local: "10.0.0.2", localPort: 500 },
    { family: 4, local: "0.0.0.0", localPort: 500, device: 4 },
    { family: 6, local: "::", localPort: 500, only6: true },
    {
      family: 4,
      local: "10.0.0.1",
      localPort: 500,
      remote: "192.0.2.8",
      remotePort: 53,
    },
    {
      family: 4,
      local: "10.0.0.1",
      localPort: 500,
      remote: "192.0.2.9",
      remotePort: 54,
    },
  ];
  for (const other of others) assert.equal(fit(four, other), undefined);
  assert.ok(
    fit(four, { family: 4, local: "0.0.0.0", localPort: 500, device: 3 }),
  );
});

Deno.test("short and mutated answers never throw", () => {
  const whole = answer({ family: 6, local: "::", localPort: 500 });
  const of = flow("udp", "10.0.0.1:500", "192.0.2.9:53");
  for (let length = 0; length < 16 + 72; length++) {
    assert.equal(readSocket(whole, 16, length), undefined);
  }
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(95), fc.integer({ min: 0, max: 255 })), {
        maxLength: 12,
      }),
      fc.nat(96),
      (edits, cut) => {
        const bytes = whole.slice(0, Math.max(cut, 1));
        for (const [at, value] of edits) {
          if (at < bytes.length) bytes[at] = value;
        }
        for (const message of parseMessages(bytes).messages) {
          readCandidate(message, of);
        }
      },
    ),
    { numRuns: 2000 },
  );
});
