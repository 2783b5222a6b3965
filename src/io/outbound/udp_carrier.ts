/** Opens the way out for UDP that goes with a way out for TCP. */
import { formatEndpoint } from "../../core/wire/address.ts";
import type { DialerSetup, DialFailure } from "../ports/dialer.ts";
import type { StreamSockets } from "../ports/stream_sockets.ts";
import {
  DatagramRoom,
  NotReceived,
  type UdpAssociation,
  type UdpCarrier,
} from "../ports/udp_carrier.ts";
import { DirectUdpCarrier } from "./direct_udp.ts";
import { Socks5UdpCarrier } from "./socks5_udp.ts";

/** @param setup an HTTP proxy carries none: each association fails at once. */
export function openUdpCarrier(
  setup: DialerSetup,
  sockets: StreamSockets,
): UdpCarrier {
  const room = new DatagramRoom();
  switch (setup.kind) {
    case "direct":
      return new DirectUdpCarrier({ sockets, room, origin: setup.origin });
    case "socks5":
      return new Socks5UdpCarrier(setup, { sockets, room });
    case "http": {
      const { words, port } = setup.proxy;
      return new RefusedUdpCarrier(
        `http ${formatEndpoint(words, 0, port)}`,
        "an HTTP proxy carries no UDP",
      );
    }
  }
}

/** A way out that carries no UDP. */
export class RefusedUdpCarrier implements UdpCarrier {
  readonly name: string;
  readonly room: DatagramRoom = new DatagramRoom();
  readonly #failure: DialFailure;

  /** @param reason one line for a person */
  constructor(name: string, reason: string) {
    this.name = name;
    this.#failure = { kind: "unsupported", text: reason };
  }

  associate(): UdpAssociation {
    return {
      control: -1,
      wants: "read",
      descriptor: -1,
      localPort: 0,
      failure: this.#failure,
      advance: () => "ended",
      send: () => 0,
      receive: () => NotReceived.Nothing,
      leadsTo: () => false,
      [Symbol.dispose]: () => {},
    };
  }
}
