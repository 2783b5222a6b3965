/** The table of static filters, read back by a slow twin of the driver. */
import assert from "node:assert/strict";
import { parsePrefix } from "../../../../src/core/wire/address.ts";
import { filterTable } from "../../../../src/io/os/windows/ndis_filters.ts";
import type { PassRule } from "../../../../src/io/ports/capture.ts";
import {
  addressWords,
  echoPacket,
  udpPacket,
} from "../../../core/flow/packets.ts";
import { segment, SYN } from "../../../core/flow/segments.ts";

const FILTER = 184;
const TYPES: Readonly<Record<number, number>> = { 4: 0x0800, 6: 0x86dd };

/** What the driver does with a packet: "pass", or "redirect". */
function decide(
  rules: readonly PassRule[],
  way: "send" | "receive",
  packet: Uint8Array,
): string {
  const table = filterTable(rules);
  const view = new DataView(table.buffer);
  const count = view.getUint32(0, true);
  assert.equal(table.length, 8 + count * FILTER);
  for (let n = 0; n < count; n++) {
    const at = 8 + n * FILTER;
    const u32 = (offset: number) => view.getUint32(at + offset, true);
    if ((u32(8) & (way === "send" ? 1 : 2)) === 0) continue;
    if (!fits(table, view, at, u32(16), packet)) continue;
    return u32(12) === 1 ? "pass" : "redirect";
  }
  return "redirect";
}

function fits(
  b: Uint8Array,
  view: DataView,
  at: number,
  layers: number,
  packet: Uint8Array,
): boolean {
  const version = packet[0] >>> 4;
  if ((layers & 1) !== 0) {
    if (view.getUint16(at + 56 + 20, true) !== TYPES[version]) return false;
  }
  const isIpv4 = version === 4;
  const protocol = packet[isIpv4 ? 9 : 6];
  if ((layers & 2) !== 0) {
    if (view.getUint32(at + 80, true) !== (isIpv4 ? 1 : 2)) return false;
    const fields = view.getUint32(at + 84, true);
    const size = isIpv4 ? 4 : 16;
    const nets = [
      [1, 88, isIpv4 ? 12 : 8],
      [2, isIpv4 ? 100 : 124, isIpv4 ? 16 : 24],
    ];
    for (const [bit, net, address] of nets) {
      if ((fields & bit) === 0) continue;
      assert.equal(view.getUint32(at + net, true), 1);
      for (let i = 0; i < size; i++) {
        const mask = b[at + net + 4 + size + i];
        if (((b[at + net + 4 + i] ^ packet[address + i]) & mask) !== 0) {
          return false;
        }
      }
    }
    const named = b[at + (isIpv4 ? 112 : 160)];
    if ((fields & 4) !== 0 && named !== protocol) return false;
  }
  if ((layers & 4) !== 0) {
    if (protocol !== 6 && protocol !== 17) return false;
    const header = isIpv4 ? 20 : 40;
    const fields = view.getUint32(at + 168, true);
    for (const [bit, range, port] of [[1, 172, 0], [2, 176, 2]]) {
      if ((fields & bit) === 0) continue;
      const value = packet[header + port] << 8 | packet[header + port + 1];
      if (value < view.getUint16(at + range, true)) return false;
      if (value > view.getUint16(at + range + 2, true)) return false;
    }
  }
  return true;
}

function back<
  T extends { from: string; to: string; fromPort: number; toPort: number },
>(
  ends: T,
): T {
  const { from, to, fromPort, toPort } = ends;
  return { ...ends, from: to, to: from, fromPort: toPort, toPort: fromPort };
}

const FAMILIES = [
  { host: "10.0.0.5", far: "192.0.2.7", near: "10.0.0.77", net: "10.0.0.0/24" },
  {
    host: "fd00:0:0:0:0:0:0:5",
    far: "2001:db8:0:0:0:0:0:7",
    near: "fd00:0:0:0:0:0:0:77",
    net: "fd00::/64",
  },
] as const;

for (const { host, far, near, net } of FAMILIES) {
  Deno.test(`${host}: without rules all packets come`, () => {
    const ends = { from: host, to: far, fromPort: 1, toPort: 2 };
    assert.equal(decide([], "send", udpPacket(ends)), "redirect");
    assert.equal(decide([], "receive", udpPacket(back(ends))), "redirect");
  });

  Deno.test(`${host}: a tunnel's own socket and its remote alone`, () => {
    const rule: PassRule = {
      kind: "tunnel",
      localPort: 51_000,
      remote: addressWords(far),
      remotePort: 51_820,
    };
    const ends = { from: host, to: far, fromPort: 51_000, toPort: 51_820 };
    assert.equal(decide([rule], "send", udpPacket(ends)), "pass");
    assert.equal(decide([rule], "receive", udpPacket(back(ends))), "pass");
    assert.equal(decide([rule], "receive", udpPacket(ends)), "redirect");
    for (const other of [{ fromPort: 51_001 }, { toPort: 443 }, { to: near }]) {
      assert.equal(
        decide([rule], "send", udpPacket({ ...ends, ...other })),
        "redirect",
      );
    }
    const tcp = segment({ ...ends, flags: SYN, seq: 1 });
    assert.equal(decide([rule], "send", tcp), "redirect");
  });

  Deno.test(`${host}: a network passes, but for queries to its resolvers`, () => {
    const prefix = parsePrefix(net)!;
    const rule = { kind: "network", prefix, dns: "captured" } as const;
    const ends = { from: host, to: near, fromPort: 40_000, toPort: 80 };
    const query = { ...ends, toPort: 53 };
    for (const packet of [udpPacket, tcpOf]) {
      assert.equal(decide([rule], "send", packet(ends)), "pass");
      assert.equal(decide([rule], "receive", packet(back(ends))), "pass");
      assert.equal(decide([rule], "send", packet(query)), "redirect");
      assert.equal(decide([rule], "receive", packet(back(query))), "redirect");
      const passed = { ...rule, dns: "passed" } as const;
      assert.equal(decide([passed], "send", packet(query)), "pass");
      assert.equal(
        decide([rule], "send", packet({ ...ends, to: far })),
        "redirect",
      );
    }
    const ping = echoPacket({ from: host, to: near, id16: 1 });
    assert.equal(decide([rule], "send", ping), "pass");
  });

  Deno.test(`${host}: how the host gets its addresses`, () => {
    const [client, server] = host.includes(":") ? [546, 547] : [68, 67];
    const ends = { from: host, to: near, fromPort: client, toPort: server };
    assert.equal(decide([{ kind: "dhcp" }], "send", udpPacket(ends)), "pass");
    assert.equal(
      decide([{ kind: "dhcp" }], "receive", udpPacket(back(ends))),
      "pass",
    );
    assert.equal(
      decide([{ kind: "dhcp" }], "send", udpPacket(back(ends))),
      "redirect",
    );
  });
}

function tcpOf(
  ends: { from: string; to: string; fromPort: number; toPort: number },
): Uint8Array {
  return segment({ ...ends, flags: SYN, seq: 1 });
}
