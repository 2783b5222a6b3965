/** What the gateway does with TCP that the system's own stack ends, segment by segment, in both families. */
import assert from "node:assert/strict";
import { RedirectState } from "../../../src/core/flow/redirect_table.ts";
import { formatAddress } from "../../../src/core/wire/address.ts";
import {
  addressWords,
  echoPacket,
  fragmentsOf,
  pattern,
  udpPacket,
} from "../flow/packets.ts";
import {
  ACK,
  FIN,
  PSH,
  RST,
  segment,
  type SegmentOptions,
  SYN,
  tcpStart,
} from "../flow/segments.ts";
import { FAMILIES, MSS_OPTION, proxy, Talk, verdicts } from "./tcp_talk.ts";
import { RELAY } from "./world.ts";

for (const family of FAMILIES) {
  const { name } = family;

  Deno.test(`${name}: a SYN is handed over as it came, its MSS clamped`, () => {
    const talk = new Talk(proxy(), family);
    const seen = talk.syn();
    assert.equal(seen.verdict, "ToRelay");
    assert.equal(talk.state, RedirectState.Dialing);
    const tcpOptions = [2, 4, family.mss >> 8, family.mss & 255];
    assert.deepEqual(
      seen.bytes,
      [...talk.packet({ flags: SYN, seq: 1000, tcpOptions })],
    );
  });

  Deno.test(`${name}: a conversation, rewritten both ways, over at once`, () => {
    const world = proxy();
    const talk = new Talk(world, family);
    talk.syn();
    assert.deepEqual(verdicts(talk.send({ flags: SYN, seq: 1000 })), [
      ["Drop", "TCP held while dialing"],
    ]);
    assert.ok(talk.settle());
    const again = talk.send({ flags: SYN, seq: 1000, tcpOptions: MSS_OPTION });
    assert.equal(talk.toKernel(again[0]).mss, family.mss);

    const answer = talk.kernel({
      flags: SYN | ACK,
      seq: 5000,
      tcpOptions: MSS_OPTION,
    });
    assert.equal(talk.toClient(answer).mss, family.mss);
    talk.toKernel(talk.send({ flags: ACK })[0]);
    const request = talk.toKernel(
      talk.send({ flags: ACK | PSH, data: [1, 2, 3] })[0],
    );
    assert.deepEqual([request.data, request.seq, request.ack], [
      [1, 2, 3],
      1001,
      5001,
    ]);
    const reply = talk.toClient(
      talk.kernel({ flags: ACK | PSH, ack: 1004, data: pattern(1300) }),
    );
    assert.deepEqual(reply.data, pattern(1300));

    talk.toKernel(talk.send({ flags: FIN | ACK, seq: 1004, ack: 6301 })[0]);
    assert.equal(world.redirects.size, 1);
    talk.toClient(talk.kernel({ flags: FIN | ACK, seq: 6301, ack: 1005 }));
    assert.equal(world.redirects.size, 1);
    talk.toKernel(talk.send({ flags: ACK, seq: 1005, ack: 6302 })[0]);
    assert.equal(world.redirects.size, 0);
    assert.equal(talk.state, RedirectState.Closed);

    // What comes late still passes, both ways.
    talk.toKernel(talk.send({ flags: ACK, seq: 1005, ack: 6302 })[0]);
    talk.toClient(talk.kernel({ flags: FIN | ACK, seq: 6301, ack: 1005 }));
    world.pass(4000);
    assert.equal(world.redirects.resting, 0);
    assert.deepEqual(
      world.relay.abandoned,
      [],
      "the kernel has told the relay",
    );
  });

  Deno.test(`${name}: the server closes first: over with the next tick`, () => {
    const world = proxy();
    const talk = new Talk(world, family).open();
    talk.kernel({ flags: FIN | ACK });
    talk.send({ flags: ACK, ack: 5002 });
    talk.send({ flags: FIN | ACK, ack: 5002 });
    talk.kernel({ flags: ACK, seq: 5002, ack: 1002 });
    world.pass(1000);
    assert.equal(world.redirects.size, 0);
  });

  Deno.test(`${name}: a pair is used again at once after its close, by another row`, () => {
    const world = proxy();
    const talk = new Talk(world, family).open();
    talk.send({ flags: FIN | ACK });
    talk.kernel({ flags: FIN | ACK, ack: 1002 });
    talk.send({ flags: ACK, seq: 1002, ack: 5002 });
    const next = new Talk(world, family, { isn: 90_000 }).open();
    assert.notEqual(next.row, talk.row);
    next.toKernel(next.send({ flags: ACK | PSH, data: [7] })[0]);
    // The old connection's packets pass no more: they would be taken for the new one's.
    assert.deepEqual(
      verdicts([talk.kernel({ flags: FIN | ACK, ack: 1002 })]),
      [["Drop", "relay stray"]],
    );
    assert.deepEqual(world.relay.abandoned, []);
  });

  Deno.test(`${name}: a pair used again before the tick has seen its end is not abandoned`, () => {
    const world = proxy();
    const talk = new Talk(world, family).open();
    talk.kernel({ flags: FIN | ACK });
    talk.send({ flags: FIN | ACK, ack: 5002 });
    talk.kernel({ flags: ACK, seq: 5002, ack: 1002 });
    assert.equal(talk.state, RedirectState.Open);
    const next = new Talk(world, family, { isn: 90_000 }).open();
    assert.notEqual(next.row, talk.row);
    assert.equal(world.redirects.size, 1);
    world.pass(4000);
    assert.deepEqual(world.relay.abandoned, []);
  });

  for (const when of ["Dialing", "Open"] as const) {
    Deno.test(`${name}: another SYN while ${when} abandons the old connection`, () => {
      const world = proxy();
      const old = new Talk(world, family);
      if (when === "Open") old.open();
      else old.syn();
      const next = new Talk(world, family, { isn: 77 });
      assert.equal(next.syn().verdict, "ToRelay");
      assert.notEqual(next.row, old.row);
      assert.deepEqual(world.relay.abandoned, [
        { row: old.row, generation: old.generation },
      ]);
      assert.equal(old.settle(), false);
      assert.equal(
        old.kernel({ flags: ACK }).target,
        "relay stray",
      );
      assert.equal(world.redirects.size, 1);
      assert.equal(world.redirects.dialingOf(0), 1);
    });
  }

  Deno.test(`${name}: a RST while dialing abandons`, () => {
    const world = proxy();
    const talk = new Talk(world, family);
    talk.syn();
    // Answers of the client to what an earlier connection of its pair left.
    assert.deepEqual(verdicts(talk.send({ flags: RST, seq: 123_456_789 })), [
      ["Drop", "no TCP connection"],
    ]);
    assert.deepEqual(verdicts(talk.send({ flags: RST })), [["Held"]]);
    assert.deepEqual(world.relay.abandoned, [
      { row: talk.row, generation: talk.generation },
    ]);
    assert.ok(!talk.settle());
    assert.equal(world.redirects.size, 0);
    assert.equal(world.redirects.dialingOf(0), 0);
  });

  Deno.test(`${name}: a RST of the client passes and ends; the relay is told when nothing can come`, () => {
    const world = proxy();
    const talk = new Talk(world, family).open();
    const read = talk.toKernel(talk.send({ flags: RST })[0]);
    assert.equal(read.flags, RST);
    assert.equal(world.redirects.size, 0);
    talk.toClient(talk.kernel({ flags: ACK }));
    talk.toKernel(talk.send({ flags: RST })[0]);
    assert.deepEqual(world.relay.abandoned, []);
    world.pass(4000);
    assert.deepEqual(world.relay.abandoned, [
      { row: talk.row, generation: talk.generation },
    ]);
    assert.equal(talk.kernel({ flags: ACK }).target, "relay stray");
  });

  Deno.test(`${name}: a RST from nowhere passes and ends nothing here`, () => {
    const world = proxy();
    const talk = new Talk(world, family).open();
    talk.toKernel(talk.send({ flags: RST, seq: 0x70000000 })[0]);
    assert.equal(talk.state, RedirectState.Open);
  });

  Deno.test(`${name}: a RST of the kernel reaches the client and ends`, () => {
    const world = proxy();
    const talk = new Talk(world, family).open();
    const read = talk.toClient(talk.kernel({ flags: RST | ACK }));
    assert.equal(read.flags, RST | ACK);
    world.pass(2000);
    assert.equal(world.redirects.size, 0);
    assert.deepEqual(world.relay.abandoned, []);
  });

  Deno.test(`${name}: no connection and no SYN: a RST, and none to a RST`, () => {
    const world = proxy();
    const talk = new Talk(world, family);
    const rows = talk.send({ flags: ACK | PSH, seq: 8, ack: 9, data: [1] });
    assert.deepEqual(verdicts(rows), [["Drop", "no TCP connection"], [
      "ToPeer",
    ]]);
    const reset = talk.toClient(rows[1]);
    assert.deepEqual([reset.flags, reset.seq], [RST, 9]);
    const fin = talk.send({ flags: FIN, seq: 8, data: [1, 2] });
    const finReset = talk.toClient(fin[1]);
    assert.deepEqual([finReset.flags, finReset.ack], [RST | ACK, 11]);
    assert.deepEqual(verdicts(talk.send({ flags: SYN | ACK })), [
      ["Drop", "no TCP connection"],
      ["ToPeer"],
    ]);
    assert.deepEqual(verdicts(talk.send({ flags: RST })), [
      ["Drop", "no TCP connection"],
    ]);
    assert.equal(world.redirects.size, 0);
  });

  Deno.test(`${name}: while dialing nothing but SYN and RST is looked at`, () => {
    const talk = new Talk(proxy(), family);
    talk.syn();
    for (const flags of [ACK, FIN | ACK, SYN | ACK, PSH, 0]) {
      assert.deepEqual(verdicts(talk.send({ flags })), [
        ["Drop", "no TCP connection"],
      ]);
    }
    assert.equal(talk.state, RedirectState.Dialing);
  });

  Deno.test(`${name}: what was refused is dialed anew, with the same SYN too`, () => {
    const world = proxy();
    const talk = new Talk(world, family);
    talk.syn();
    const { row } = talk;
    assert.ok(talk.settle(RedirectState.Refused));
    assert.deepEqual(verdicts(talk.send({ flags: ACK })), [
      ["Drop", "no TCP connection"],
      ["ToPeer"],
    ]);
    assert.equal(talk.syn().verdict, "ToRelay");
    assert.notEqual(talk.row, row);
    assert.ok(talk.settle(RedirectState.Refused));
    world.pass(1000);
    assert.equal(world.redirects.size, 0);
    assert.deepEqual(world.relay.abandoned, [], "the relay knows");
  });

  Deno.test(`${name}: idle connections are abandoned in their time`, () => {
    const world = proxy();
    const settled = new Talk(world, family, { fromPort: 1 }).open();
    const half = new Talk(world, family, { fromPort: 2 }).open();
    half.send({ flags: FIN | ACK });
    const closing = new Talk(world, family, { fromPort: 3 }).open();
    closing.send({ flags: FIN | ACK });
    closing.kernel({ flags: FIN | ACK });
    const dialing = new Talk(world, family, { fromPort: 4 });
    dialing.syn();
    const silent = new Talk(world, family, { fromPort: 5 });
    silent.syn();
    silent.settle();
    world.pass(239_000);
    assert.equal(world.redirects.size, 5);
    world.pass(2000);
    assert.deepEqual(
      [settled, half, closing, dialing, silent].map(({ state }) => state !== 0),
      [true, true, false, false, false],
    );
    const told = world.relay.abandoned.map(({ row }) => row);
    assert.deepEqual(told, [closing.row, dialing.row, silent.row]);
    settled.toKernel(settled.send({ flags: ACK })[0]);
    world.pass(7_440_000 - 241_000);
    assert.deepEqual([settled.state, half.state], [RedirectState.Open, 0]);
    settled.toClient(settled.kernel({ flags: ACK }));
    world.pass(7_439_000);
    assert.equal(settled.state, RedirectState.Open);
    world.pass(2000);
    assert.equal(world.redirects.size, 0);
  });

  Deno.test(`${name}: strays from the relay's prefix never leave`, () => {
    const world = proxy();
    const talk = new Talk(world, family).open();
    const { relay, port, beside } = family;
    const right: SegmentOptions = {
      from: relay,
      to: beside(talk.generation),
      fromPort: port,
      toPort: 1024 + talk.row,
      flags: ACK,
    };
    assert.equal(world.fromHost(segment(right))[0].verdict, "ToPeer");
    for (
      const wrong of [
        { from: beside(70) },
        { fromPort: port + 1 },
        { to: beside(talk.generation + 1) },
        { to: beside(talk.generation - 1) },
        { to: relay },
        { to: family.remote },
        { to: family.client },
        { toPort: 1024 + talk.row + 1 },
        { toPort: 1023 },
        { toPort: 0 },
        { toPort: 65_535 },
      ]
    ) {
      const [seen] = world.fromHost(segment({ ...right, ...wrong }));
      assert.equal(seen.target, "relay stray", JSON.stringify(wrong));
    }
    const [twin] = FAMILIES.filter((one) => one !== family);
    const [mixed] = world.fromHost(segment({
      ...right,
      from: twin.relay,
      fromPort: twin.port,
      to: twin.beside(talk.generation),
    }));
    assert.equal(mixed.target, "relay stray", "the row is of this family");
    const other = { from: relay, to: family.client };
    for (
      const packet of [
        udpPacket({ ...other, fromPort: port, toPort: 1024 }),
        echoPacket({ ...other, id16: 1 }),
      ]
    ) {
      assert.equal(world.fromHost(packet)[0].target, "relay stray");
    }
  });

  Deno.test(`${name}: every truncation and header length of the kernel's segment`, () => {
    const world = proxy();
    const talk = new Talk(world, family).open();
    const whole = segment({
      from: family.relay,
      to: family.beside(talk.generation),
      fromPort: family.port,
      toPort: 1024 + talk.row,
      flags: SYN | ACK,
      tcpOptions: MSS_OPTION,
    });
    for (let length = 0; length < whole.length; length++) {
      const [seen] = world.fromHost(whole.slice(0, length));
      assert.equal(seen.verdict, "Drop");
    }
    for (let offset = 0; offset < 16; offset++) {
      const packet = whole.slice();
      packet[tcpStart(packet) + 12] = offset << 4;
      const [seen] = world.fromHost(packet);
      const ends = offset === 5 || offset === 6;
      assert.equal(seen.verdict, ends ? "ToPeer" : "Drop", `${offset}`);
    }
  });

  Deno.test(`${name}: clients have no business at the relay's addresses`, () => {
    const world = proxy({ peers: [["0.0.0.0/0", "::/0"]] });
    const ends = { from: family.client, fromPort: 1, toPort: family.port };
    for (const to of [family.relay, family.beside(5), family.beside(61)]) {
      for (
        const packet of [
          segment({ ...ends, to, flags: SYN }),
          udpPacket({ ...ends, to }),
          echoPacket({ from: ends.from, to, id16: 1 }),
        ]
      ) {
        const [seen] = world.fromTunnel(0, packet);
        assert.deepEqual([seen.verdict, seen.target], [
          "Drop",
          "relay address",
        ]);
      }
    }
  });

  Deno.test(`${name}: a family that the relay does not serve is rejected`, () => {
    const relay = family.name === "IPv4"
      ? { ...RELAY, ipv4: undefined }
      : { ...RELAY, ipv6: undefined };
    const world = proxy({ config: { relay } });
    const rows = new Talk(world, family).send({ flags: SYN });
    assert.deepEqual(verdicts(rows), [
      ["Drop", "TCP rejected by policy"],
      ["ToPeer"],
    ]);
    const [seen] = world.fromHost(segment({
      from: family.relay,
      to: family.beside(1),
      fromPort: family.port,
      toPort: 1024,
      flags: ACK,
    }));
    assert.equal(seen.target, "no peer for destination");
    // The other one works.
    const [other] = FAMILIES.filter((one) => one !== family);
    new Talk(world, other).open();
  });

  Deno.test(`${name}: a client of another peer with the same pair has a connection of its own`, () => {
    const world = proxy();
    const first = new Talk(world, family).open();
    // The address moves to another peer while the first one's connection stands.
    const prefix = formatAddress(addressWords(family.client));
    const bits = family.name === "IPv4" ? 32 : 128;
    world.allow(`${prefix}/${bits}`, 1);
    const second = new Talk(world, family, { peer: 1 });
    assert.deepEqual(verdicts(second.send({ flags: ACK })), [
      ["Drop", "no TCP connection"],
      ["ToPeer"],
    ]);
    second.open();
    assert.notEqual(second.row, first.row);
    second.toClient(second.kernel({ flags: ACK, data: [1] }));
    // What is still the first one's is nobody's now.
    assert.equal(
      first.kernel({ flags: ACK, data: [2] }).target,
      "no peer for destination",
    );
  });

  Deno.test(`${name}: a removed peer's connections are gone at once, and the relay told`, () => {
    const world = proxy();
    const talks = [1, 2, 3].map((fromPort) =>
      new Talk(world, family, { fromPort })
    );
    talks[0].open();
    talks[1].syn();
    talks[2].open().send({ flags: RST });
    const stays = new Talk(world, family, { peer: 1, from: family.other })
      .open();
    world.open.removePeer(0);
    assert.equal(world.redirects.size, 1);
    assert.deepEqual(
      world.relay.abandoned.map(({ row }) => row),
      talks.map(({ row }) => row),
    );
    for (const talk of talks) {
      assert.equal(talk.kernel({ flags: ACK }).verdict, "Drop");
    }
    stays.toClient(stays.kernel({ flags: ACK }));
    world.pass(4000);
    assert.equal(world.redirects.resting, 0);
    assert.equal(world.relay.abandoned.length, 3, "each was told once");
  });

  Deno.test(`${name}: fragments of TCP are put together first`, () => {
    const world = proxy();
    const talk = new Talk(world, family).open();
    const whole = talk.packet({ flags: ACK, data: pattern(100) });
    const ends = { from: family.client, to: family.remote, id: 9 };
    const payload = [...whole.subarray(tcpStart(whole))];
    const rows = world.fromTunnel(0, ...fragmentsOf(6, payload, [64], ends));
    assert.deepEqual(verdicts(rows), [["Held"], ["Held"], ["ToHost"]]);
    assert.deepEqual(talk.toKernel(rows[2]).data, pattern(100));
  });
}
