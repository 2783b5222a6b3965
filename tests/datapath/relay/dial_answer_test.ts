/** What clients hear of failed dials: each kind, both families, parsed and verified. */
import assert from "node:assert/strict";
import { readEmbedded } from "../../../src/core/wire/icmp_error.ts";
import { parsePacket } from "../../../src/core/wire/packet.ts";
import { PacketView } from "../../../src/core/wire/packet_view.ts";
import { verifyTransport } from "../../../src/core/wire/transport_checksum.ts";
import { Protocol } from "../../../src/core/wire/protocol.ts";
import * as tcp from "../../../src/core/wire/tcp.ts";
import {
  ANSWER_LENGTH,
  emitDialAnswer,
} from "../../../src/datapath/relay/dial_answer.ts";
import {
  DIAL_FAILURE_KINDS,
  type DialFailureKind,
} from "../../../src/io/ports/dialer.ts";
import { makeSyn } from "./relay_lab.ts";

const TARGET4 = Int32Array.of(0, 0, 0xffff, 0xc6336401 | 0);
const TARGET6 = Int32Array.of(0x20010db8, 3, 0, 1);
const GATEWAY = {
  address4: 0x0a080001,
  address6: Int32Array.of(0x20010db8, 0, 0, 1),
};

/** ICMP code and ICMPv6 code of «destination unreachable», or another answer. */
const EXPECTED: Record<
  DialFailureKind,
  [code4: number, code6: number] | "reset" | "silence"
> = {
  "refused": "reset",
  "reset": "reset",
  "host-unreachable": [1, 3],
  "network-unreachable": [0, 0],
  "unsupported": [0, 0],
  "not-permitted": [13, 1],
  "timed-out": "silence",
  "system": "silence",
  "no-descriptor": "silence",
  "proxy-unreachable": "reset",
  "proxy-closed": "reset",
  "proxy-garbage": "reset",
  "proxy-auth": "reset",
  "proxy-refused": "reset",
};

/** The answer, checked as a packet. */
function answer(
  kind: DialFailureKind,
  target: Int32Array,
  source: Parameters<typeof emitDialAnswer>[3] = GATEWAY,
): { view: PacketView; packet: Uint8Array } | undefined {
  const out = new Uint8Array(ANSWER_LENGTH);
  const length = emitDialAnswer(out, makeSyn(target, 443), kind, source);
  if (length === 0) return undefined;
  const packet = out.slice(0, length);
  const view = new PacketView();
  assert.equal(parsePacket(packet, 0, length, view), 0);
  assert.equal(verifyTransport(packet, view), 0);
  assert.equal(view.totalLength, length);
  return { view, packet };
}

Deno.test("every kind of failure has its answer, in IPv4 and IPv6", () => {
  assert.deepEqual(
    Object.keys(EXPECTED).sort(),
    [...DIAL_FAILURE_KINDS].sort(),
  );
  for (const kind of DIAL_FAILURE_KINDS) {
    const expected = EXPECTED[kind];
    for (const target of [TARGET4, TARGET6]) {
      const found = answer(kind, target);
      if (expected === "silence") {
        assert.equal(found, undefined, kind);
        continue;
      }
      const { view, packet } = found!;
      if (expected === "reset") {
        assert.equal(view.protocol, Protocol.Tcp, kind);
        assert.equal(
          tcp.flags(packet, view.payloadAt),
          tcp.Flag.Rst | tcp.Flag.Ack,
        );
        assert.deepEqual(view.sourceWords, target);
        continue;
      }
      const is4 = target === TARGET4;
      assert.equal(packet[view.payloadAt], is4 ? 3 : 1, kind);
      assert.equal(packet[view.payloadAt + 1], expected[is4 ? 0 : 1], kind);
      const about = new PacketView();
      assert.equal(readEmbedded(packet, view, about), 0);
      assert.deepEqual(about.destinationWords, target);
      assert.equal(about.destinationPort, 443);
    }
  }
});

Deno.test("where the gateway has no address of the family, a RST says it", () => {
  const none = { address4: undefined, address6: undefined };
  for (const target of [TARGET4, TARGET6]) {
    const { view } = answer("host-unreachable", target, none)!;
    assert.equal(view.protocol, Protocol.Tcp);
  }
});
