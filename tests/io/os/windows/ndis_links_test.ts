/** Whom frames go to, against a map that does the same slowly; and a reader in the middle of a change. */
import assert from "node:assert/strict";
import {
  FrameLinks,
  LINKS_LENGTH,
} from "../../../../src/io/os/windows/ndis_links.ts";
import { udpPacket } from "../../../core/flow/packets.ts";
import { bufferOf, readBuffer } from "./ndis_frames.ts";

const FRAME_AT = 52;
const PACKET_AT = FRAME_AT + 14;

interface Told {
  readonly from: string;
  readonly to: string;
  readonly adapter: number;
  readonly macs: readonly [number, number];
}

function learn(links: FrameLinks, { from, to, adapter, macs }: Told): void {
  const payload = udpPacket({ from, to, fromPort: 1, toPort: 2 });
  const buffer = bufferOf({ way: "send", adapter, macs, payload });
  links.learn(buffer, 0, FRAME_AT, PACKET_AT);
}

/** Who an empty buffer with a packet is for, and from. */
function link(
  links: FrameLinks,
  where: "toHost" | "toNetwork",
  ends: { from: string; to: string },
) {
  const payload = udpPacket({ ...ends, fromPort: 1, toPort: 2 });
  const buffer = bufferOf({ way: "send", macs: [0, 0], adapter: 0, payload });
  if (!links[where](buffer, 0, FRAME_AT, PACKET_AT)) return undefined;
  const { adapter, macs } = readBuffer(buffer, 0);
  return { adapter, macs };
}

Deno.test("each address of the host has its adapter, its own MAC and whom it sent to last", () => {
  const links = new FrameLinks(new SharedArrayBuffer(LINKS_LENGTH), 0);
  const wired = { from: "10.0.0.1", to: "192.0.2.7", adapter: 1 };
  const wireless = { from: "10.1.0.1", to: "192.0.2.7", adapter: 2 };
  learn(links, { ...wired, macs: [21, 11] });
  learn(links, { ...wireless, macs: [22, 12] });
  const back = (to: string) => link(links, "toHost", { from: "8.8.8.8", to });
  assert.deepEqual(back("10.0.0.1"), { adapter: 1, macs: [11, 21] });
  assert.deepEqual(back("10.1.0.1"), { adapter: 2, macs: [12, 22] });
  assert.equal(back("10.0.0.2"), undefined);
  // The router has been replaced.
  learn(links, { ...wired, macs: [29, 11] });
  assert.deepEqual(back("10.0.0.1"), { adapter: 1, macs: [11, 29] });
});

Deno.test("more addresses than there is room for: the eldest are forgotten, the newest known", () => {
  const links = new FrameLinks(new ArrayBuffer(LINKS_LENGTH), 0);
  const names = Array.from({ length: 100 }, (_, n) => `10.0.0.${n + 1}`);
  names.forEach((from, n) =>
    learn(links, { from, to: "192.0.2.7", adapter: 1, macs: [2, n] })
  );
  const known = names.filter((to) =>
    link(links, "toHost", { from: "192.0.2.7", to }) !== undefined
  );
  assert.deepEqual(known, names.slice(36));
});

Deno.test("thousands of remotes: each its own neighbour, or else whom the host sent to last", () => {
  const links = new FrameLinks(new ArrayBuffer(LINKS_LENGTH), 0);
  const from = "10.0.0.1";
  const twin = new Map<string, number>();
  for (let n = 0; n < 2000; n++) {
    const to = `192.${n >> 8}.${n & 255}.1`;
    const mac = 3 + n % 100;
    twin.set(to, mac);
    learn(links, { from, to, adapter: 1, macs: [mac, 1] });
  }
  const last = [...twin.values()].at(-1)!;
  let right = 0;
  for (const [to, mac] of twin) {
    const { macs } = link(links, "toNetwork", { from, to })!;
    assert.equal(macs[1], 1);
    if (macs[0] === mac) right++;
    else assert.equal(macs[0], last);
  }
  assert.ok(right > 1950);
});

Deno.test("another thread sees what was learned, and nothing of a row in change", () => {
  const memory = new SharedArrayBuffer(LINKS_LENGTH);
  const writer = new FrameLinks(memory, 0);
  const reader = new FrameLinks(memory, 0);
  const ends = { from: "192.0.2.7", to: "10.0.0.1" };
  learn(writer, { from: ends.to, to: ends.from, adapter: 1, macs: [2, 1] });
  assert.deepEqual(link(reader, "toHost", ends), { adapter: 1, macs: [1, 2] });
  const cells = new Int32Array(memory);
  cells[1]++;
  assert.equal(link(reader, "toHost", ends), undefined);
});
