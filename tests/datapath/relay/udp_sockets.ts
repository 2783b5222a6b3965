/** UDP in a relay worker's loop on real sockets, driven by a test step by step. */
import { RelayMessage } from "../../../src/core/columns/relay_message.ts";
import { parseEndpoint } from "../../../src/core/wire/address.ts";
import type { RelayHost } from "../../../src/datapath/relay/relay_guest.ts";
import { UdpCounters } from "../../../src/datapath/relay/udp_counters.ts";
import {
  UDP_RELAY_LIMITS,
  UdpRelay,
  type UdpRelayLimits,
} from "../../../src/datapath/relay/udp_relay.ts";
import { openDialer } from "../../../src/io/outbound/open_dialer.ts";
import { openUdpCarrier } from "../../../src/io/outbound/udp_carrier.ts";
import { countSockets } from "../../support/counted_sockets.ts";
import { openPlatform } from "../../../src/io/platform.ts";
import type { DialerSetup } from "../../../src/io/ports/dialer.ts";
import { SocketEvent } from "../../../src/io/ports/socket_events.ts";
import { udpPacket } from "../../core/flow/packets.ts";
import { waitFor } from "../../support/wait.ts";
import { type Answer, readAnswer } from "./udp_fakes.ts";

/** How a test names a proxy. */
export function proxySetup(
  kind: "socks5" | "http",
  endpoint: string,
  credentials?: { readonly user: string; readonly password: string },
): DialerSetup {
  const { words, port } = parseEndpoint(endpoint)!;
  const proxy = { words: Int32Array.from(words), port, host: endpoint };
  return { kind, proxy, credentials };
}

/** One datagram of a client. */
export interface ClientDatagram {
  readonly to: string;
  readonly toPort: number;
  readonly from?: string;
  readonly fromPort?: number;
  readonly data?: readonly number[];
}

/** The loop, and all that it wrote. */
export class UdpSocketWorld implements Disposable {
  readonly answers: Answer[] = [];
  readonly lines: string[] = [];
  readonly counters = new UdpCounters(new ArrayBuffer(UdpCounters.byteLength));
  readonly relay: UdpRelay;
  readonly #platform = openPlatform();
  readonly #counted = countSockets(this.#platform.openStreamSockets());
  readonly #events = this.#platform.openSocketEvents();
  readonly #clock = this.#platform.openClock();

  /** How many sockets its relay has open. */
  get openSockets(): number {
    return this.#counted.count;
  }

  constructor(setup: DialerSetup, limits: Partial<UdpRelayLimits> = {}) {
    const { sockets } = this.#counted;
    this.relay = new UdpRelay({
      carrier: openUdpCarrier(setup, sockets),
      dialer: openDialer(setup, { sockets }),
      sockets,
      host: this.#host(),
      counters: this.counters,
      limits: { ...UDP_RELAY_LIMITS, ...limits },
      seed: 1,
    });
  }

  /** A datagram of a client, in a packet. */
  send(datagram: ClientDatagram): void {
    const { to, toPort, fromPort = 4000, data = [1, 2, 3] } = datagram;
    const { from = to.includes(":") ? "fd00:0:0:0:0:0:0:2" : "10.0.0.2" } =
      datagram;
    const packet = udpPacket({ from, to, fromPort, toPort }, data);
    const { length } = packet;
    const now = this.#clock();
    this.relay.message(RelayMessage.Udp, 0, 0, packet, 0, length, now);
  }

  /** Does what is to be done now. */
  step(): void {
    const count = this.#events.wait(0);
    for (let i = 0; i < count; i++) {
      this.relay.ready(
        this.#events.key(i),
        this.#events.happened(i),
        this.#clock(),
      );
    }
    this.relay.tick(this.#clock());
  }

  /** Runs the loop until something holds. */
  async until(what: string, holds: () => boolean): Promise<void> {
    const probe = () => {
      this.step();
      return holds();
    };
    await waitFor(what, probe, { intervalMs: 1, timeoutMs: 15_000 }).catch(
      (error) => {
        const counts = Object.entries(this.counters.snapshot()).filter((
          [, n],
        ) => n !== 0);
        throw new Error(
          `${error.message}; ${JSON.stringify(counts)}; ${
            this.lines.join("; ")
          }`,
        );
      },
    );
  }

  /** Runs the loop until a client got an answer more, and takes it. */
  async answer(): Promise<Answer> {
    await this.until("an answer", () => this.answers.length > 0);
    return this.answers.shift()!;
  }

  [Symbol.dispose](): void {
    this.relay[Symbol.dispose]();
    this.#events[Symbol.dispose]();
    this.#platform[Symbol.dispose]();
  }

  #host(): RelayHost {
    const events = this.#events;
    const bits = { read: SocketEvent.Readable, write: SocketEvent.Writable };
    return {
      watch: (descriptor, tag, wants) =>
        events.add(descriptor, bits[wants], tag) === 0,
      change: (descriptor, tag, wants) => {
        events.change(descriptor, bits[wants], tag);
      },
      forget: (descriptor) => {
        events.remove(descriptor);
      },
      answer: (bytes, at, length) => {
        this.answers.push(readAnswer(bytes.slice(at, at + length)));
        return true;
      },
      tell: (line) => this.lines.push(line),
    };
  }
}
