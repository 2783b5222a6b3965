/**
 * `deno run -A tests/bench/scale.ts`: what a packet costs in the tables of few
 * and of many peers and mappings, what each of them takes of memory, and what
 * real sockets in one poll set cost. The first two need no privileges, the last
 * one root.
 *
 * Each cost is shown twice: over all peers or mappings by chance, where a large
 * table pays for memory that is in no cache, and over 64 of them, as when few of
 * many are busy. What grows in the second has more work to do, not less cache.
 */
import { Command } from "@commander-js/extra-typings";
import { Verdict } from "../../src/core/columns/verdict.ts";
import { setMappedIpv4 } from "../../src/core/wire/address.ts";
import * as ipv4 from "../../src/core/wire/ipv4.ts";
import { Protocol } from "../../src/core/wire/protocol.ts";
import * as udp from "../../src/core/wire/udp.ts";
import { Random } from "../datapath/twins/random.ts";
import { measureMemory } from "./scale_memory.ts";
import { writeSection } from "./report.ts";
import { measureSockets } from "./scale_sockets.ts";
import {
  clientAddress,
  clientPort,
  clientWords6,
  NOW,
  peerOf,
  scaleBatch,
  type ScaledGateway,
  scaledGateway,
  type ScaleSize,
} from "./scale_tables.ts";
import { quantile } from "./statistics.ts";

const SIZES: readonly ScaleSize[] = [
  { peers: 10, mappings: 10 },
  { peers: 10, mappings: 200 },
  { peers: 100, mappings: 2000 },
  { peers: 1000, mappings: 20_000 },
  { peers: 10_000, mappings: 200_000 },
  { peers: 10, mappings: 200_000 },
];
/** Rows of a measured batch: as many as a pump's may have. */
const ROWS = 512;
const PAYLOAD = 64;
const ROW_BYTES = 256;
const REMOTE = 0xc633_6407; // 198.51.100.7
const BUSY = 64;
/** Each measurement takes so long, in ms. */
const MEASURED_MS = 250;

/** Chooses which peers or mappings a batch is about. */
type Choice = (limit: number) => number;

/** An operation over one batch: how it is made ready, and what is timed. */
interface Operation {
  readonly name: string;
  make(scaled: ScaledGateway): {
    prepare(choose: Choice): void;
    run(): void;
  };
}

/** An operation that looks a list of numbers up, one after the other. */
function lookup(
  name: string,
  of: "peers" | "mappings",
  make: (scaled: ScaledGateway) => {
    put(i: number, chosen: number): void;
    look(i: number): number;
  },
): Operation {
  return {
    name,
    make(scaled) {
      const { put, look } = make(scaled);
      const limit = scaled.size[of];
      return {
        prepare(choose) {
          for (let i = 0; i < ROWS; i++) put(i, choose(limit));
        },
        run() {
          let missed = 0;
          for (let i = 0; i < ROWS; i++) if (look(i) < 0) missed++;
          if (missed > 0) throw new Error(`${name}: ${missed} missed`);
        },
      };
    },
  };
}

const OPERATIONS: readonly Operation[] = [
  lookup("allowedIps.lookup, IPv4", "peers", ({ tables }) => {
    const words = new Int32Array(ROWS * 4);
    return {
      put: (i, peer) => setMappedIpv4(words, i * 4, clientAddress(peer)),
      look: (i) => tables.allowedIps.lookup(words, i * 4),
    };
  }),
  lookup("allowedIps.lookup, IPv6", "peers", ({ tables }) => {
    const words = new Int32Array(ROWS * 4);
    return {
      put: (i, peer) => words.set(clientWords6(peer), i * 4),
      look: (i) => tables.allowedIps.lookup(words, i * 4),
    };
  }),
  lookup("sessions.lookup", "peers", ({ tables, receivers }) => {
    const index = new Int32Array(ROWS);
    return {
      put: (i, peer) => index[i] = receivers[peer],
      look: (i) => tables.sessions.lookup(index[i]),
    };
  }),
  lookup("nat.lookupOutbound", "mappings", ({ nat, size }) => {
    const words = new Int32Array(ROWS * 4);
    const port = new Int32Array(ROWS);
    return {
      put(i, mapping) {
        setMappedIpv4(words, i * 4, clientAddress(peerOf(mapping, size)));
        port[i] = clientPort(mapping, size);
      },
      look: (i) => nat.lookupOutbound(Protocol.Udp, words, i * 4, port[i]),
    };
  }),
  {
    name: "fromTunnel, UDP to the outside",
    make({ gateway, size }) {
      const { batch, offsetOf } = scaleBatch(ROWS, ROW_BYTES);
      const total = ipv4.HEADER_LENGTH + udp.HEADER_LENGTH + PAYLOAD;
      return {
        prepare(choose) {
          batch.clear();
          for (let row = 0; row < ROWS; row++) {
            const mapping = choose(size.mappings);
            const peer = peerOf(mapping, size);
            const at = offsetOf(row);
            const transport = at + ipv4.HEADER_LENGTH;
            const source = clientAddress(peer);
            const { bytes } = batch;
            ipv4.emit(bytes, at, total, Protocol.Udp, 64, source, REMOTE);
            const port = clientPort(mapping, size);
            udp.emit(bytes, transport, port, 53, total - ipv4.HEADER_LENGTH);
            batch.push(at, total, peer);
          }
        },
        run() {
          gateway.fromTunnel(batch, NOW);
          expectAll(batch.verdict, Verdict.ToUdp);
        },
      };
    },
  },
  {
    name: "fromOutside, UDP to its client",
    make({ gateway, size }) {
      const { batch, offsetOf } = scaleBatch(ROWS, ROW_BYTES);
      return {
        prepare(choose) {
          batch.clear();
          for (let row = 0; row < ROWS; row++) {
            batch.push(offsetOf(row) + 64, PAYLOAD, -1);
            batch.target[row] = choose(size.mappings);
            setMappedIpv4(batch.remote, row * 4, REMOTE);
            batch.remotePort[row] = 53;
            batch.hopLimit[row] = 60;
          }
        },
        run() {
          gateway.fromOutside(batch, NOW);
          expectAll(batch.verdict, Verdict.ToPeer);
        },
      };
    },
  },
];

function expectAll(verdicts: Int32Array, expected: number): void {
  for (let row = 0; row < ROWS; row++) {
    if (verdicts[row] !== expected) {
      throw new Error(`row ${row}: verdict ${verdicts[row]}`);
    }
  }
}

/** ns for one of a batch's rows: the lower quartile, for others use this machine. */
function measure(
  operation: ReturnType<Operation["make"]>,
  choose: Choice,
): number {
  const rounds: number[] = [];
  const until = performance.now() + MEASURED_MS;
  while (performance.now() < until) {
    operation.prepare(choose);
    const start = performance.now();
    operation.run();
    rounds.push((performance.now() - start) * 1e6 / ROWS);
  }
  return quantile(rounds, 0.25);
}

function label({ peers, mappings }: ScaleSize): string {
  const short = (n: number) => n < 1000 ? String(n) : `${n / 1000}k`;
  return `${short(peers)} / ${short(mappings)}`;
}

/** ns a packet by operation (rows) and size (columns), as Markdown. */
function measureTables(): string {
  const random = new Random(1);
  const all: Choice = (limit) => random.below(limit);
  const busy: Choice = (limit) =>
    Math.floor(random.below(BUSY) * (limit / BUSY));
  const lines = OPERATIONS.flatMap(({ name }) => [
    [name],
    [`${name}, ${BUSY} busy`],
  ]);
  for (const size of SIZES) {
    const scaled = scaledGateway(size);
    for (const [i, operation] of OPERATIONS.entries()) {
      const made = operation.make(scaled);
      measure(made, all); // compiled, pages touched
      lines[i * 2].push(measure(made, all).toFixed(0));
      lines[i * 2 + 1].push(measure(made, busy).toFixed(0));
    }
  }
  const head = ["ns a packet; peers / mappings", ...SIZES.map(label)];
  return [head, head.map(() => "---"), ...lines]
    .map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

const command = new Command("scale")
  .description("measure tables with many peers and mappings")
  .option("--tables", "what a packet costs")
  .option("--memory", "what peers and mappings take")
  .option("--sockets", "real sockets in one poll set")
  .option("--write <title>", "keep it in RESULTS.md under this title");

if (import.meta.main) {
  const options = command.parse(Deno.args, { from: "user" }).opts();
  const every = !options.tables && !options.memory && !options.sockets;
  const parts: string[] = [];
  if (every || options.tables) parts.push(measureTables());
  if (every || options.memory) parts.push(await measureMemory());
  if (every || options.sockets) parts.push(await measureSockets());
  const text = parts.join("\n\n");
  console.log(text);
  if (options.write) {
    await writeSection(
      options.write,
      [
        `\`deno run -A tests/bench/scale.ts\` on ${navigator.hardwareConcurrency}`,
        `cores, Linux ${Deno.osRelease()}, load average ${
          Deno.loadavg()[0].toFixed(1)
        }. The first table`,
        "has the lower quartile over batches of 512 packets with payloads of 64",
        "bytes; sockets are pretended there. «64 busy» uses only so many of all",
        "peers or mappings: that it stays level shows that a larger table costs",
        "memory access, and no more work.",
        "",
        text,
      ].join("\n"),
    );
  }
}
