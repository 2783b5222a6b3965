/** What the demo does by TCP; each gives a row of its table. */
import { denoRun } from "../../tests/support/agent.ts";
import type {
  StreamHashes,
  StreamOptions,
} from "../../tests/support/hash_stream.ts";
import { type Demo, GREETING, NET, PORTS } from "./place.ts";
import { type Row, rowOfTimes } from "./table.ts";

const HASH_STREAM =
  new URL("../../tests/support/hash_stream.ts", import.meta.url).pathname;
/** TCP both ways at once, hashed at both ends. */
const TRANSFER = { port: 7000, streams: 2, bytes: 25_000_000 } as const;
const CONNECTIONS = 100;
export async function tcpConnections(demo: Demo): Promise<Row> {
  const times: number[] = [];
  for (let i = 0; i < CONNECTIONS; i++) {
    const { greeting, timeMs } = await demo.client.call("tcpConnect", {
      address: NET.host,
      port: PORTS.web,
      timeoutMs: 3000,
    });
    if (greeting === GREETING) times.push(timeMs);
  }
  const to = `${NET.host}:${PORTS.web}`;
  return rowOfTimes("TCP connections", to, CONNECTIONS, times);
}

/** Bytes both ways; they came back where both ends have the same hashes. */
export async function tcpTransfer({ places }: Demo): Promise<Row> {
  const common = { ...TRANSFER, address: NET.host };
  const listens: StreamOptions = { ...common, role: "listens", seed: 1 };
  const connects: StreamOptions = { ...common, role: "connects", seed: 101 };
  const far = places.internet.spawn(
    "stream",
    denoRun(HASH_STREAM, JSON.stringify(listens)),
  );
  await far.waitForLine(/^listening$/);
  const near = await places.client.run(
    denoRun(HASH_STREAM, JSON.stringify(connects)),
  );
  await far.waitForExit();
  const here: StreamHashes = JSON.parse(near.stdout);
  const there: StreamHashes = JSON.parse(far.lines.at(-1)!);
  const hashes = (ends: StreamHashes["sent"]) => ends.map(({ hash }) => hash);
  const sent = [...hashes(here.sent), ...hashes(there.sent)];
  const received = [...hashes(there.received), ...hashes(here.received)];
  const back = sent.filter((hash, i) => hash === received[i]).length;
  const bytes = 2 * TRANSFER.streams * TRANSFER.bytes;
  return {
    what: `TCP, ${bytes / 1e6} MB by SHA-256`,
    to: `${NET.host}:${TRANSFER.port}`,
    sent: sent.length,
    back,
    timesMs: [],
    megabitsPerSecond: bytes * 8 / here.durationMs / 1000,
    held: back === sent.length,
  };
}

export async function tcpRefused(demo: Demo): Promise<Row> {
  const { outcome, timeMs } = await demo.client.call("tcpConnect", {
    address: NET.host,
    port: PORTS.closed,
    timeoutMs: 3000,
  });
  return {
    what: `TCP, closed port: ${outcome}`,
    to: `${NET.host}:${PORTS.closed}`,
    sent: 1,
    back: 0,
    timesMs: [timeMs],
    held: outcome === "refused",
  };
}
