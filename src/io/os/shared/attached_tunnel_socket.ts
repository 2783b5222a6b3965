/**
 * The tunnel's socket as one worker uses it, put together from a system's parts.
 * Messages that wait to leave have a destination each, and the source address
 * that the remote knows.
 */
import type { Batch } from "../../../core/columns/batch.ts";
import type { TunnelSocket, TunnelSocketAttachment } from "../../ports.ts";
import { TunnelDestinations } from "./tunnel_destinations.ts";
import { TunnelSocketSources } from "./tunnel_socket_sources.ts";
import { WaitingMessages } from "./waiting_messages.ts";

/** Messages that can wait; one more sends those before it. */
const CAPACITY = 512;

/** Patience with a full socket: how long to wait for it to take more, and how often. */
export const TUNNEL_PATIENCE = { fullWaitMs: 10, fullWaits: 5 } as const;

/** What is sent, and to whom. */
export interface TunnelMessages {
  /** A message's group is its destination. */
  readonly messages: WaitingMessages;
  /** Is told which messages failed. */
  readonly destinations: TunnelDestinations;
}

/** What a system's trains are made of. */
export interface TunnelTrainsOptions extends TunnelMessages {
  /** The socket's. */
  readonly family: 4 | 6;
  /** The arena that messages lie in. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Whether the system splits trains. */
  readonly trains: "tried" | "never";
}

/** What a system has for one worker. */
export interface TunnelSocketParts {
  readonly trains: {
    /** Sends the messages that wait. */
    send(socket: number): void;
  };
  readonly receiver: {
    /** Reads what is there into rows. */
    receive(batch: Batch): number;
  };
}

/** Queues, sends and receives messages. Disposing of it leaves the socket open. */
export class AttachedTunnelSocket implements TunnelSocket {
  readonly descriptor: number;
  readonly port: number;
  readonly #messages = new WaitingMessages(CAPACITY);
  readonly #destinations: TunnelDestinations;
  readonly #parts: TunnelSocketParts;

  /** @param partsFor makes what sends the messages and learns the sources. */
  constructor(
    attachment: TunnelSocketAttachment,
    partsFor: (
      messages: TunnelMessages,
      sources: TunnelSocketSources | undefined,
    ) => TunnelSocketParts,
  ) {
    this.descriptor = attachment.descriptor;
    this.port = attachment.port;
    const sources = attachment.sources &&
      new TunnelSocketSources(attachment.sources);
    const messages = this.#messages;
    const destinations = new TunnelDestinations(CAPACITY, sources);
    this.#destinations = destinations;
    this.#parts = partsFor({ messages, destinations }, sources);
  }

  receive(batch: Batch): number {
    return this.#parts.receiver.receive(batch);
  }

  queue(
    at: number,
    length: number,
    words: Int32Array,
    i: number,
    port: number,
  ): void {
    const messages = this.#messages;
    if (messages.count === CAPACITY) this.#send();
    const destinations = this.#destinations;
    const destination = destinations.of(words, i, port);
    destinations.note(messages.add(at, length, destination), destination);
  }

  flush(): number {
    if (this.#messages.count > 0) this.#send();
    return this.#destinations.takeFailed();
  }

  [Symbol.dispose](): void {}

  #send(): void {
    this.#destinations.begin();
    this.#parts.trains.send(this.descriptor);
    this.#destinations.clear();
  }
}
