/**
 * A worker of workers_test.ts: a real pump by its turns, with real crypto and a
 * real poll set, over a device and a wire that are shared memory. What the
 * devices count they count without Atomics: one worker at a time may be there.
 */
import { Batch } from "../../src/core/columns/batch.ts";
import { Verdict } from "../../src/core/columns/verdict.ts";
import { PointToPoint } from "../../src/core/engine/point_to_point.ts";
import { parseIpv4 } from "../../src/core/wire/address.ts";
import { readU32be, writeU32be } from "../../src/core/wire/bytes.ts";
import * as ipv4 from "../../src/core/wire/ipv4.ts";
import { plainFormat } from "../../src/core/wireguard/classify.ts";
import { ArenaPlan } from "../../src/datapath/arena.ts";
import { ControlLink } from "../../src/datapath/control_link.ts";
import { selectAead } from "../../src/datapath/crypto/select_aead.ts";
import { Dispatcher } from "../../src/datapath/dispatcher.ts";
import { instantiateKernels } from "../../src/datapath/kernels/kernels.ts";
import { OpenPump } from "../../src/datapath/open_pump.ts";
import { Opener } from "../../src/datapath/opener.ts";
import { runInTurns } from "../../src/datapath/pump_loop.ts";
import { RandomPool } from "../../src/datapath/random_pool.ts";
import { SealPump } from "../../src/datapath/seal_pump.ts";
import {
  SEAL_TAILROOM,
  Sealer,
  sealHeadroom,
} from "../../src/datapath/sealer.ts";
import {
  attachTables,
  type SharedState,
  Thread,
} from "../../src/datapath/shared_state.ts";
import { Turnstile } from "../../src/datapath/turnstile.ts";
import { openPlatform } from "../../src/io/platform.ts";
import type {
  Area,
  TunDevice,
  TunnelSocket,
  Wake,
} from "../../src/io/ports.ts";

/** What the workers of a test share. */
export interface WorkersSetup {
  readonly role: "open" | "seal";
  readonly shared: SharedState;
  readonly turnstile: SharedArrayBuffer;
  readonly poller: number;
  readonly wake: number;
  /** Readable as long as there is input. */
  readonly input: number;
  /** Cells, see {@linkcode Cell}. */
  readonly cells: SharedArrayBuffer;
  /** Messages, WIRE_SLOT bytes each: length, bytes. */
  readonly wire: SharedArrayBuffer;
  /** Packets that the source has. */
  readonly total: number;
  /** The source sets the stop cell when it has given so many. */
  readonly stopAt: number;
}

/** Cells: packets taken, messages on the wire, messages read, packets at the sink, those out of order. */
export const Cell = { Taken: 0, Wired: 1, Read: 2, Sunk: 3, Wrong: 4 } as const;

export const WIRE_SLOT = 256;
export const SOURCE = "10.0.0.1";
export const DESTINATION = "10.0.0.2";

const ROWS = 512;
const AREA = 256 * 1024;
const FROM = parseIpv4(SOURCE)!;
const TO = parseIpv4(DESTINATION)!;
const NUMBER_AT = ipv4.HEADER_LENGTH;

/** Bytes of the packet with a number: its header, the number, whatever. */
export function packetLength(number: number): number {
  return NUMBER_AT + 4 + (number * 7) % 150;
}

/** Rows of a batch that begins with a number: some wait for their turn, some do not. */
function batchLength(number: number): number {
  return 1 + number % 37;
}

/** A device that gives numbered packets and takes them in order. */
class NumberTun implements TunDevice {
  readonly name = "numbers";
  readonly descriptor = -1;
  readonly mtu = 1420;
  readonly gone = false;
  readonly pending = false;

  constructor(
    readonly setup: WorkersSetup,
    readonly cells: Int32Array,
    readonly area: Area,
    readonly input: Wake,
    readonly stop: Int32Array,
  ) {}

  read(batch: Batch): number {
    const { cells, setup, area } = this;
    let at = area.start;
    for (let left = batchLength(cells[Cell.Taken]); left > 0; left--) {
      const number = cells[Cell.Taken];
      if (number === setup.total) break;
      cells[Cell.Taken] = number + 1;
      at = (at + 64 + 15) & ~15;
      const length = packetLength(number);
      ipv4.emit(batch.bytes, at, length, 17, 64, FROM, TO);
      batch.bytes.fill(number, at + NUMBER_AT, at + length);
      writeU32be(batch.bytes, at + NUMBER_AT, number);
      batch.push(at, length, -1);
      at += length + SEAL_TAILROOM;
      if (number + 1 === setup.stopAt) Atomics.store(this.stop, 0, 1);
    }
    if (batch.count === 0) this.input.drain();
    return batch.count;
  }

  write(batch: Batch): number {
    const { cells } = this;
    for (let row = 0; row < batch.count; row++) {
      if (batch.verdict[row] !== Verdict.ToHost) continue;
      const expected = cells[Cell.Sunk];
      const number = readU32be(batch.bytes, batch.offset[row] + NUMBER_AT);
      if (
        number !== expected || batch.length[row] !== packetLength(number)
      ) cells[Cell.Wrong]++;
      cells[Cell.Sunk] = expected + 1;
    }
    Atomics.notify(cells, Cell.Sunk);
    return 0;
  }

  [Symbol.dispose](): void {}
}

/** A socket whose messages go into a log, and come from it. */
class LogSocket implements TunnelSocket {
  readonly descriptor = -1;
  readonly port = 1;
  readonly #lengths: Int32Array;
  readonly #wire: Uint8Array;
  readonly #at = new Int32Array(ROWS);
  readonly #length = new Int32Array(ROWS);
  #count = 0;

  constructor(
    readonly setup: WorkersSetup,
    readonly cells: Int32Array,
    readonly bytes: Uint8Array,
    readonly area: Area,
    readonly input: Wake,
  ) {
    this.#lengths = new Int32Array(setup.wire);
    this.#wire = new Uint8Array(setup.wire);
  }

  receive(batch: Batch): number {
    const { cells } = this;
    let at = this.area.start;
    for (let left = batchLength(cells[Cell.Read]); left > 0; left--) {
      const message = cells[Cell.Read];
      if (message === cells[Cell.Wired]) break;
      cells[Cell.Read] = message + 1;
      const from = message * WIRE_SLOT;
      const length = this.#lengths[from >> 2];
      for (let i = 0; i < length; i++) {
        this.bytes[at + i] = this.#wire[from + 4 + i];
      }
      const row = batch.push(at, length, -1);
      batch.remote[row * 4 + 2] = 0xffff;
      batch.remotePort[row] = 1;
      at += length;
    }
    if (batch.count === 0) this.input.drain();
    return batch.count;
  }

  queue(at: number, length: number): void {
    this.#at[this.#count] = at;
    this.#length[this.#count++] = length;
  }

  flush(): number {
    const { cells } = this;
    for (let i = 0; i < this.#count; i++) {
      const to = cells[Cell.Wired] * WIRE_SLOT;
      const at = this.#at[i];
      this.#lengths[to >> 2] = this.#length[i];
      for (let b = 0; b < this.#length[i]; b++) {
        this.#wire[to + 4 + b] = this.bytes[at + b];
      }
      cells[Cell.Wired]++;
    }
    this.#count = 0;
    return 0;
  }

  [Symbol.dispose](): void {}
}

const port = self as unknown as {
  onmessage: (event: MessageEvent<WorkersSetup>) => void;
  postMessage(message: unknown): void;
};

port.onmessage = ({ data }) => {
  run(data);
  port.postMessage("ended");
};

function run(setup: WorkersSetup): void {
  const platform = openPlatform();
  const tables = attachTables(setup.shared);
  const { sessions, peers } = tables;
  const cells = new Int32Array(setup.cells);
  const kernels = instantiateKernels({ arenaBytes: 4 * AREA });
  const { bytes } = kernels;
  const plan = new ArenaPlan(kernels.firstFree, bytes.length);
  const format = plainFormat();
  const spare = plan.take(AREA);
  const input = platform.attachWake(setup.input);
  const batch = new Batch({
    bytes,
    capacity: ROWS,
    spareStart: spare.start,
    spareEnd: spare.end,
    headroom: sealHeadroom(format),
    tailroom: SEAL_TAILROOM,
  });
  const thread = setup.role === "open" ? Thread.OpenPump : Thread.SealPump;
  const counters = tables.counters[thread];
  const link = new ControlLink(tables.rings[thread], peers, tables.bell, false);
  const socket = new LogSocket(setup, cells, bytes, plan.take(AREA), input);
  const tun = new NumberTun(setup, cells, plan.take(AREA), input, tables.stop);
  const { aead } = selectAead(kernels);
  const sealing = { sessions, peers, format, aead, rejectAfterMs: 180_000 };
  const sealer = new Sealer({
    ...sealing,
    bytes,
    socket,
    random: new RandomPool(),
    writer: thread,
    mtu: 1420,
    rows: ROWS,
  });
  const engine = new PointToPoint(tables.allowedIps);
  const poller = platform.attachPoller({
    descriptor: setup.poller,
    wake: setup.wake,
    tun: setup.role === "seal" ? setup.input : undefined,
    tunnel: setup.role === "open" ? setup.input : undefined,
  });
  const parts = { engine, sealer, counters, batch, socket, link };
  const dispatcher = new Dispatcher({
    ...parts,
    tun,
    outside: undefined,
    rows: setup.role === "open" ? "packed" : "sealed",
  });
  const pump = setup.role === "open"
    ? new OpenPump({
      ...parts,
      dispatcher,
      opener: new Opener({ ...sealing, link, rows: ROWS }),
      commands: tables.rings[Thread.Control],
      nextTick: tables.nextTick,
    })
    : new SealPump({ ...parts, dispatcher, poller, tun, outside: undefined });
  runInTurns(pump, new Turnstile(setup.turnstile), {
    poller,
    now: platform.openClock(),
    stop: tables.stop,
  });
}
