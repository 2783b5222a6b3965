/** What the stack worker of a split tunnel tells, as events on the control thread. */
import { ClientMessage } from "../core/columns/client_message.ts";
import { ControlMessage } from "../core/columns/control_message.ts";
import { describePacket } from "../core/wire/describe.ts";
import { parsePacket } from "../core/wire/packet.ts";
import { PacketView } from "../core/wire/packet_view.ts";
import { Protocol } from "../core/wire/protocol.ts";
import * as udp from "../core/wire/udp.ts";
import type { ClientEvents } from "../control/client_engine.ts";
import type { ClientTables } from "../datapath/client_state.ts";

/** How often the ring is looked at without a bell, in ms. */
const REVIEW_MS = 500;
const DNS_PORT = 53;

/** Reads the worker's ring from `start` to `stop`. */
export class ClientNews {
  readonly #tables: ClientTables;
  readonly #events: ClientEvents;
  readonly #onDetached: (slot: number) => void;
  readonly #view = new PacketView();
  readonly #handleMessage = this.#message.bind(this);
  #review: ReturnType<typeof setInterval> | undefined;
  #isRunning = false;

  constructor(
    tables: ClientTables,
    options: {
      readonly events: ClientEvents;
      /** The worker has let go of a slot. */
      readonly onDetached: (slot: number) => void;
    },
  ) {
    this.#tables = tables;
    this.#events = options.events;
    this.#onDetached = options.onDetached;
  }

  /** Starts to listen. */
  start(): void {
    this.#isRunning = true;
    this.#listen();
    // Were a wake-up ever lost, flows would wait for the next bell for ever.
    this.#review = setInterval(() => this.#read(), REVIEW_MS);
  }

  /** Ends it; nothing is told any more. */
  stop(): void {
    this.#isRunning = false;
    clearInterval(this.#review);
    Atomics.notify(this.#tables.bell, 0);
  }

  async #listen(): Promise<void> {
    const { bell } = this.#tables;
    while (this.#isRunning) {
      const seen = Atomics.load(bell, 0);
      this.#read();
      const wait = Atomics.waitAsync(bell, 0, seen);
      if (wait.async) await wait.value;
      // Timers and signals get their turn even while the worker is loud.
      else await new Promise((resolve) => setTimeout(resolve, 0));
    }
  }

  #read(): void {
    if (this.#isRunning) this.#tables.news.read(this.#handleMessage);
  }

  #message(
    kind: number,
    a: number,
    b: number,
    bytes: Uint8Array,
    at: number,
    length: number,
  ): void {
    const events = this.#events;
    switch (kind) {
      case ClientMessage.Ask:
        return this.#ask(a, b, bytes, at, length);
      case ClientMessage.Ended:
        return events.onFlowEnded(a, b);
      case ClientMessage.DnsAnswer: {
        const payload = bytes.slice(at, at + length);
        return events.onDnsAnswer({ row: a, generation: b, payload });
      }
      case ClientMessage.Detached:
        return this.#onDetached(a);
      case ControlMessage.Drop:
        return events.onDrop(a, describePacket(bytes, at, length));
    }
  }

  #ask(
    row: number,
    generation: number,
    bytes: Uint8Array,
    at: number,
    length: number,
  ): void {
    const flow = this.#tables.flows.snapshot(row);
    if (flow === undefined || flow.generation !== generation) return;
    const { protocol, local, remote } = flow;
    const isQuery = protocol === Protocol.Udp && remote.port === DNS_PORT;
    const query = isQuery ? this.#payload(bytes, at, length) : undefined;
    this.#events.onAsk({ row, generation, protocol, local, remote, query });
  }

  #payload(
    bytes: Uint8Array,
    at: number,
    length: number,
  ): Uint8Array | undefined {
    const view = this.#view;
    if (parsePacket(bytes, at, length, view) !== 0) return undefined;
    const from = view.payloadAt + udp.HEADER_LENGTH;
    const end = view.payloadAt + udp.datagramLength(bytes, view.payloadAt);
    return bytes.slice(from, end);
  }
}
