/**
 * The other host of tun_offload_inside.ts, in a network namespace of its own:
 * waits for its interface, gives it addresses, then sends a stream and checks
 * that it comes back unchanged.
 *
 * Input lines: the name of its interface, then an address to connect to.
 */
import { openLibc } from "../../../../ffi/libc.ts";
import {
  parseAddress,
  parsePrefix,
} from "../../../../src/core/wire/address.ts";
import { Netlink } from "../../../../src/io/os/linux/netlink.ts";

const PORT = 4000;
const [bytesText, ...prefixes] = Deno.args;
const total = Number(bytesText);

const lines = Deno.stdin.readable.pipeThrough(new TextDecoderStream())
  [Symbol.asyncIterator]();
const nextLine = async () => (await lines.next()).value?.trim() ?? Deno.exit(0);

console.log("started");
using libc = openLibc();
using netlink = new Netlink(libc);
const name = await nextLine();
const link = netlink.link(name);
if (link === undefined) throw new Error(`no interface ${name}`);
for (const prefix of prefixes) {
  const { family, words, length } = parsePrefix(prefix)!;
  const address = {
    family,
    words: Int32Array.from(words),
    prefixLength: length,
  };
  netlink.addAddress({ ...address, index: link.index });
}
netlink.setLink(link.index, { up: true, mtu: 1420 });
console.log("ready");

for (;;) {
  const hostname = await nextLine();
  if (parseAddress(hostname) === undefined) break;
  using connection = await Deno.connect({ hostname, port: PORT });
  const [echoed] = await Promise.all([
    readPattern(connection),
    writePattern(connection),
  ]);
  console.log(`echoed ${echoed}`);
}

async function writePattern(connection: Deno.TcpConn): Promise<void> {
  const chunk = new Uint8Array(1 << 16);
  for (let at = 0; at < total;) {
    const length = Math.min(chunk.length, total - at);
    for (let i = 0; i < length; i++) chunk[i] = patternAt(at + i);
    for (let done = 0; done < length;) {
      done += await connection.write(chunk.subarray(done, length));
    }
    at += length;
  }
  await connection.closeWrite();
}

/** @returns bytes up to the first wrong one. */
async function readPattern(connection: Deno.TcpConn): Promise<number> {
  const chunk = new Uint8Array(1 << 16);
  for (let at = 0;;) {
    const length = await connection.read(chunk);
    if (length === null) return at;
    for (let i = 0; i < length; i++, at++) {
      if (chunk[i] !== patternAt(at)) return at;
    }
  }
}

function patternAt(at: number): number {
  return (at ^ (at >> 8) ^ (at >> 16)) & 255;
}
