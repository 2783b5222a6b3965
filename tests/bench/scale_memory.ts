/**
 * What 10,000 peers and 200,000 mappings take of memory: the bytes of their
 * columns, and what is resident once each is in use. As a program of its own it
 * prints the table; only a fresh process tells what came from what.
 */
import { Device } from "../../src/core/wireguard/device.ts";
import { SessionState } from "../../src/core/wireguard/session_table.ts";
import { nodePrimitives } from "../../src/datapath/crypto/node_primitives.ts";
import {
  attachTables,
  createSharedState,
} from "../../src/datapath/shared_state.ts";
import { Random } from "../datapath/twins/random.ts";
import { runCommand } from "../support/process.ts";
import {
  clientPort,
  fillMappings,
  fillPeers,
  NOW,
  peerOf,
  type ScaleSize,
  sizesOf,
} from "./scale_tables.ts";

const SIZE: ScaleSize = { peers: 10_000, mappings: 200_000 };

/** Measures in a process of its own. @returns a Markdown table. */
export async function measureMemory(): Promise<string> {
  const { stdout } = await runCommand([
    Deno.execPath(),
    "run",
    "-A",
    "--quiet",
    "--v8-flags=--expose-gc",
    "--config",
    new URL("../../deno.json", import.meta.url).pathname,
    new URL(import.meta.url).pathname,
  ], { timeoutMs: 120_000 });
  return stdout.trim();
}

/** One line of the table. */
interface Line {
  readonly what: string;
  /** Bytes of the columns; 0 where it is objects. */
  readonly columns: number;
  readonly resident: number;
  readonly of: number;
}

/** Resident bytes of this process, rubbish collected. */
function resident(): number {
  collect();
  const status = Deno.readTextFileSync("/proc/self/status");
  return Number(status.match(/^VmRSS:\s+([0-9]+) kB$/m)![1]) * 1024;
}

function collect(): void {
  (globalThis as { gc?: () => void }).gc?.();
}

function measure(): Line[] {
  const state = createSharedState(sizesOf(SIZE));
  const tables = attachTables(state);
  const nat = tables.nat!;
  const lines: Line[] = [];
  const line = (
    what: string,
    columns: number,
    of: number,
    fill: () => void,
  ) => {
    const before = resident();
    fill();
    lines.push({ what, columns, resident: resident() - before, of });
  };
  const { peers, mappings } = SIZE;
  const perPeer = state.peers.byteLength + state.allowedIps.byteLength +
    state.sessions.byteLength;
  line("peer: row, two prefixes, one session", perPeer, peers, () => {
    fillPeers(tables, peers);
  });
  line("three more sessions each, by renewal", 0, peers, () => {
    const key = new Uint8Array(32);
    for (let i = 0; i < peers * 3; i++) {
      tables.sessions.install(i % peers, i, SessionState.Confirmed, {
        remoteIndex: i,
        initiator: true,
        now: NOW,
        sendKey: key,
        receiveKey: key,
      });
    }
  });
  lines.push(measureDevice());
  const remotes = sizesOf(SIZE).nat!.remotes;
  const remotesBytes = remotes * 44;
  line("mapping: row", state.nat!.byteLength - remotesBytes, mappings, () => {
    fillMappings(nat, SIZE);
  });
  line(
    "its remotes, 8 each, only where `filtering` asks for them",
    remotesBytes,
    mappings,
    () => noteRemotes(nat.remotes, mappings),
  );
  return lines;
}

/** The control thread's objects: live ones on the heap, for the heap itself is larger. */
function measureDevice(): Line {
  const random = new Random(1);
  const device = new Device({
    ...attachTables(createSharedState(sizesOf(SIZE))),
    privateKey: random.bytes(32),
    primitives: nodePrimitives,
    random: (bytes) => void bytes.set(random.bytes(bytes.length)),
    wallTime: () => NOW,
  });
  const before = heap();
  for (let peer = 0; peer < SIZE.peers; peer++) {
    device.peers.add(random.bytes(32), { now: NOW });
  }
  return {
    what: "its objects in the control thread, on the heap",
    columns: 0,
    resident: heap() - before,
    of: device.peers.rows().length,
  };
}

function heap(): number {
  collect();
  const { heapUsed, external } = Deno.memoryUsage();
  return heapUsed + external;
}

function noteRemotes(
  remotes: {
    note: (
      ...args: [number, number, number, Int32Array, number, number, number]
    ) => void;
  },
  mappings: number,
): void {
  const words = Int32Array.of(0, 0, 0xffff, 0);
  for (let mapping = 0; mapping < mappings; mapping++) {
    for (let i = 0; i < 8; i++) {
      words[3] = mapping * 8 + i;
      const peer = peerOf(mapping, SIZE);
      remotes.note(mapping, 1, peer, words, 0, clientPort(mapping, SIZE), NOW);
    }
  }
}

if (import.meta.main) {
  const megabytes = (bytes: number) => (bytes / 2 ** 20).toFixed(1);
  const rows = measure().map(({ what, columns, resident, of }) =>
    [
      what,
      columns === 0 ? "" : megabytes(columns),
      columns === 0 ? "" : (columns / of).toFixed(0),
      megabytes(resident),
      (resident / of).toFixed(0),
    ].join(" | ")
  );
  console.log([
    `| ${SIZE.peers} peers, ${SIZE.mappings} mappings | columns, MB | bytes each | resident, MB | bytes each |`,
    "| --- | --- | --- | --- | --- |",
    ...rows.map((row) => `| ${row} |`),
  ].join("\n"));
}
