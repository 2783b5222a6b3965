/**
 * What goes through the tunnel comes out unchanged: SHA-256 at both ends of eight
 * TCP streams, both ways at once. SLUICE_LONG=1 sends 1 GB each way.
 */
import assert from "node:assert/strict";
import { denoRun } from "../support/agent.ts";
import { e2eTest } from "../support/e2e.ts";
import type { StreamHashes, StreamOptions } from "../support/hash_stream.ts";
import { LossyLine, ROUGH } from "../support/lossy_line.ts";
import type { LineCount } from "../support/lossy_line.ts";
import {
  startDirectTunnel,
  startRelayedTunnel,
  type Tunnel,
} from "../support/relayed_tunnel.ts";
import { dropCount, TUNNEL } from "../support/sluice.ts";

const HASH_STREAM =
  new URL("../support/hash_stream.ts", import.meta.url).pathname;
const LONG = Deno.env.get("SLUICE_LONG") === "1";
const MEGABYTE = 1 << 20;
const STREAMS = 8;
const SEED = 20;
const FIRST_PORT = 7000;
const REPLAYED = "replayed or too old";
const NEEDS = ["tun", { program: "ping" }] as const;

/** Sends so many megabytes each way, over all streams, and compares the hashes. */
async function exchange(
  { client, gateway, server }: Tunnel,
  megabytes: number,
): Promise<void> {
  const common = {
    address: TUNNEL.gateway,
    port: FIRST_PORT,
    streams: STREAMS,
    bytes: megabytes * MEGABYTE / STREAMS,
  };
  const timeoutMs = 60_000 + megabytes * 500;
  const listens: StreamOptions = { ...common, role: "listens", seed: 1 };
  const connects: StreamOptions = { ...common, role: "connects", seed: 101 };
  const far = gateway.spawn(
    "streams",
    denoRun(HASH_STREAM, JSON.stringify(listens)),
  );
  await far.waitForLine(/^listening$/);
  const near = await client.run(
    denoRun(HASH_STREAM, JSON.stringify(connects)),
    { timeoutMs },
  );
  await far.waitForExit({ timeoutMs });
  const here: StreamHashes = JSON.parse(near.stdout);
  const there: StreamHashes = JSON.parse(far.lines.at(-1)!);
  assert.deepEqual(there.received, here.sent);
  assert.deepEqual(here.received, there.sent);
  const all = [...here.sent, ...there.sent];
  assert.ok(all.every(({ bytes }) => bytes === common.bytes));
  assert.equal(new Set(all.map(({ hash }) => hash)).size, 2 * STREAMS);
  assert.equal(server.process.status, undefined, "the server still runs");
  console.log(
    `${megabytes} MB each way in ${(here.durationMs / 1000).toFixed(1)} s`,
  );
}

/** Asserts that a line was as bad as it was to be. */
function assertRough(count: LineCount): void {
  const { taken, lost, reordered, duplicated } = count;
  console.log(
    `${taken} datagrams: ${lost} lost, ${reordered} reordered, ${duplicated} doubled`,
  );
  const near = (share: number, wanted: number) =>
    share > wanted / 2 && share < wanted * 2;
  assert.ok(near(lost / taken, ROUGH.loss), "lost");
  assert.ok(near(reordered / taken, ROUGH.reordering), "reordered");
  assert.ok(near(duplicated / taken, ROUGH.duplication), "doubled");
}

/** Asserts that an end refused the second of each two; few can be lost on the way. */
function assertRefused(refused: number, { duplicated }: LineCount): void {
  const text = `${refused} refused of ${duplicated}`;
  assert.ok(refused <= duplicated && refused >= duplicated * 0.9, text);
}

Deno.test("integrity: the bad line loses, reorders and doubles as it says", () => {
  const line = new LossyLine<number>(ROUGH, { seed: SEED, keep: (n) => n });
  const out: number[] = [];
  for (let i = 0; i < 100_000; i++) line.take(i, out);
  line.flush(out);
  const { lost, duplicated, reordered } = line.count;
  assert.equal(out.length, 100_000 - lost + duplicated);
  assert.equal(new Set(out).size, 100_000 - lost);
  assert.ok(Math.abs(lost - 1000) < 200, `${lost} lost`);
  assert.ok(Math.abs(reordered - 5000) < 500, `${reordered} reordered`);
  assert.ok(Math.abs(duplicated - 1000) < 200, `${duplicated} doubled`);
  let highest = -1, behind = 0;
  for (const n of out) {
    if (n < highest) behind++;
    highest = Math.max(highest, n);
  }
  assert.ok(behind >= reordered * 0.9, `${behind} came late`);
});

const lossyMegabytes = LONG ? 1024 : 32;
await e2eTest({
  name:
    `integrity: ${lossyMegabytes} MB each way with loss, reordering and duplication`,
  needs: NEEDS,
  run: async (lab) => {
    const tunnel = await startRelayedTunnel(lab, {
      weather: ROUGH,
      seed: SEED,
    });
    await exchange(tunnel, lossyMegabytes);
    const { toGateway, toClient } = await tunnel.relay.call({
      command: "state",
    });
    assertRough(toGateway);
    assertRough(toClient);
    const { server, connection } = tunnel;
    await connection.process.stop();
    await server.process.stop();
    assertRefused(dropCount(server.process, REPLAYED), toGateway);
    assertRefused(dropCount(connection.process, REPLAYED), toClient);
  },
});

const plainMegabytes = LONG ? 1024 : 128;
await e2eTest({
  name: `integrity: ${plainMegabytes} MB each way`,
  needs: NEEDS,
  run: async (lab) => {
    await exchange(await startDirectTunnel(lab), plainMegabytes);
  },
});
