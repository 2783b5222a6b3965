/** Steady state allocates nothing per packet, whatever way a flow goes. */
import assert from "node:assert/strict";
import { Verdict } from "../../../src/core/columns/verdict.ts";
import { type FlowVerdict, Way } from "../../../src/core/flow/flow_table.ts";
import { echoPacket, pattern, udpPacket } from "../flow/packets.ts";
import { ACK, segment, SYN } from "../flow/segments.ts";
import { BATCH, bytesPerPacket } from "./heap.ts";
import { HOST4, HOST6, NEAR, SplitWorld } from "./split_world.ts";

const FAMILIES = [
  { from: HOST4, to: "192.0.2.7", near: NEAR[2][0] },
  { from: HOST6, to: "2001:db8:0:0:0:0:0:7", near: NEAR[2][1] },
] as const;
const DIRECT: FlowVerdict = { way: Way.Direct, outbound: 0, rule: 0 };
const PROXY: FlowVerdict = { way: Way.Proxy, outbound: 1, rule: 0 };
const TUNNEL: FlowVerdict = { way: Way.Packet, outbound: 2, rule: 0 };

for (const { from, to, near } of FAMILIES) {
  Deno.test(`all ways of a split tunnel allocate nothing: ${from}`, () => {
    const world = new SplitWorld();
    world.attach(2);
    const ends = (fromPort: number) => ({ from, to, fromPort, toPort: 443 });
    const begin = (packet: Uint8Array, verdict: FlowVerdict) => {
      world.fromHost([packet]);
      world.settle(world.asked.at(-1)!, verdict);
      return world.fromHeld()[0].target as number;
    };
    const data = pattern(200);
    const syn = { flags: SYN, seq: 1 };
    world.open(begin(segment({ ...ends(1), ...syn }), DIRECT));
    begin(segment({ ...ends(2), ...syn }), TUNNEL);
    const packets = [
      segment({ ...ends(1), flags: ACK, seq: 2, data }),
      segment({ ...ends(2), flags: ACK, seq: 2, data }),
      udpPacket(ends(3), data),
      udpPacket(ends(4), data),
      udpPacket(ends(5), data),
      echoPacket({ from, to, id16: 6 }, data),
    ];
    [DIRECT, PROXY, TUNNEL, TUNNEL].forEach((verdict, n) =>
      begin(packets[n + 2], verdict)
    );
    const back = { from: to, to: near, fromPort: 443, toPort: 5 };
    const answer = udpPacket(back, data);
    const { batch, engine } = world;
    const load = (packet: Uint8Array, n: number) => {
      batch.bytes.set(packet, n * 1024);
      return batch.push(n * 1024, packet.length, -1);
    };
    let now = world.now + 0.5;
    let delivered = 0;
    const found = bytesPerPacket(() => {
      now += 0.25;
      batch.clear();
      for (let n = 0; n < BATCH / 2; n++) batch.peer[load(answer, n)] = 5;
      engine.fromTunnel(batch, 2, now);
      if (batch.verdict[0] === Verdict.ToHost) delivered++;
      batch.clear();
      for (let n = 0; n < BATCH / 2; n++) {
        load(packets[n % packets.length], n);
      }
      engine.fromHost(batch, now);
    });
    assert.deepEqual([...batch.verdict.subarray(0, packets.length)], [
      ...[Verdict.ToHost, Verdict.ToTunnel, Verdict.ToUdp],
      ...[Verdict.ToRelayUdp, Verdict.ToTunnel, Verdict.ToTunnel],
    ]);
    assert.ok(delivered > 1000);
    assert.ok(found < 1, `${found} bytes per packet`);
  });
}
