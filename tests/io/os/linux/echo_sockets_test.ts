/** Sockets of echoes, from lists as Linux writes them. */
import assert from "node:assert/strict";
import {
  formatAddress,
  parseAddress,
} from "../../../../src/core/wire/address.ts";
import {
  echoSockets,
  parseSocketList,
} from "../../../../src/io/os/linux/echo_sockets.ts";

const HEAD =
  "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n";
const REST = "07 00000000:00000000 00:00000000 00000000     0        0";
const LISTS: Readonly<Record<string, string>> = {
  "/proc/net/icmp": HEAD +
    // Any address; bound to 192.0.2.1; connected to 198.51.100.10.
    `  234: 00000000:1234 00000000:0000 ${REST} 101 2 0000000000000000 0\n` +
    `  235: 010200C0:1235 00000000:0000 ${REST} 102 2 0000000000000000 0\n` +
    `  236: 010200C0:1236 0A6433C6:0000 ${REST} 103 2 0000000000000000 0\n`,
  "/proc/net/raw": HEAD +
    `    1: 00000000:0001 00000000:0000 ${REST} 201 2 0000000000000000 0\n` +
    `    2: 010200C0:0002 00000000:0000 ${REST} 202 2 0000000000000000 0\n` +
    `  255: 00000000:00FF 00000000:0000 ${REST} 203 2 0000000000000000 0\n`,
  "/proc/net/icmp6": HEAD +
    `    5: B80D0120000000000000000001000000:1234 00000000000000000000000000000000:0000 ${REST} 301 2 0000000000000000 0\n`,
  "/proc/net/raw6": HEAD +
    `   58: 00000000000000000000000000000000:003A 00000000000000000000000000000000:0000 ${REST} 401 2 0000000000000000 0\n`,
};

function inodes(local: string, remote: string, identifier: number): number[] {
  const flow = {
    protocol: "icmp",
    local: parseAddress(local)!,
    localPort: identifier,
    remote: parseAddress(remote)!,
    remotePort: 0,
  } as const;
  return echoSockets(flow, (path) => LISTS[path]).map(({ inode }) => inode);
}

Deno.test("an echo may be of the socket with its identifier, and of raw ones", () => {
  assert.deepEqual(
    inodes("192.0.2.1", "198.51.100.10", 0x1234),
    [101, 201, 203],
  );
  assert.deepEqual(inodes("192.0.2.1", "198.51.100.10", 1), [201, 203]);
  assert.deepEqual(inodes("2001:db8::1", "2001:db8::2", 0x1234), [301, 401]);
});

Deno.test("sockets of other addresses are not it", () => {
  assert.deepEqual(
    inodes("192.0.2.1", "192.0.2.9", 0x1235),
    [102, 201, 203],
  );
  assert.deepEqual(inodes("192.0.2.7", "192.0.2.9", 0x1235), [201, 203]);
  assert.deepEqual(
    inodes("192.0.2.1", "198.51.100.10", 0x1236),
    [103, 201, 203],
  );
  assert.deepEqual(inodes("192.0.2.1", "192.0.2.9", 0x1236), [201, 203]);
  assert.deepEqual(inodes("2001:db8::7", "2001:db8::2", 0x1234), [401]);
});

Deno.test("lines of another form are passed over", () => {
  const text = LISTS["/proc/net/icmp6"];
  const [socket] = parseSocketList(text);
  assert.equal(formatAddress(socket.local), "2001:db8::1");
  for (let end = 0; end < text.length; end++) {
    for (const { inode } of parseSocketList(text.slice(0, end))) {
      assert.ok([301, 30, 3, 0].includes(inode));
    }
  }
  assert.deepEqual(parseSocketList(`${HEAD}x\n\n 1: 00:1 00:2 a b\n`), []);
});
