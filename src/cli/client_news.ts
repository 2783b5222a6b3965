/** What the stack worker of a split tunnel tells, as events on the control thread. */
import { ClientMessage } from "../core/columns/client_message.ts";
import { ControlMessage } from "../core/columns/control_message.ts";
import { describePacket } from "../core/wire/describe.ts";
import { parsePacket } from "../core/wire/packet.ts";
import { PacketView } from "../core/wire/packet_view.ts";
import { Protocol } from "../core/wire/protocol.ts";
import * as udp from "../core/wire/udp.ts";
import { BellWatch } from "../control/bell_watch.ts";
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
  readonly #watch: BellWatch;

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
    this.#watch = new BellWatch(tables.bell, {
      read: () => tables.news.read(this.#handleMessage),
      reviewMs: REVIEW_MS,
    });
  }

  /** Starts to listen. */
  start(): void {
    this.#watch.start();
  }

  /** Ends it; nothing is told any more. */
  stop(): void {
    this.#watch.stop();
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
