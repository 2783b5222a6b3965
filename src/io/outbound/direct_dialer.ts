/** Connections straight to their destination, from an address or interface of choice. */
import { isMappedIpv4, isUnspecified } from "../../core/wire/address.ts";
import type {
  Dial,
  Dialer,
  DialFailure,
  DialState,
  DialTarget,
  SocketOrigin,
} from "../ports/dialer.ts";
import { SocketError, type StreamSockets } from "../ports/stream_sockets.ts";
import { destinationFailure } from "./dial_failure.ts";

/** The host's own way out. */
export class DirectDialer implements Dialer {
  readonly name = "direct";
  readonly #sockets: StreamSockets;
  readonly #origin: SocketOrigin | undefined;
  readonly #origin6: SocketOrigin | undefined;

  /** @param origin6 for IPv6, where it starts elsewhere */
  constructor(
    sockets: StreamSockets,
    origin?: SocketOrigin,
    origin6 = origin,
  ) {
    this.#sockets = sockets;
    this.#origin = origin;
    this.#origin6 = origin6;
  }

  dial(target: DialTarget): Dial {
    const origin = isMappedIpv4(target.words) ? this.#origin : this.#origin6;
    return new DirectDial(this.#sockets, target, origin);
  }
}

class DirectDial implements Dial {
  descriptor = -1;
  readonly wants = "write";
  failure: DialFailure | undefined;
  readonly #sockets: StreamSockets;
  #state: DialState = "pending";

  constructor(
    sockets: StreamSockets,
    { words, port, name }: DialTarget,
    origin: SocketOrigin | undefined,
  ) {
    this.#sockets = sockets;
    // The system would take it for this host.
    if (isUnspecified(words)) {
      this.#fail({
        kind: "unsupported",
        text: name === undefined
          ? "the unspecified address is no destination"
          : "a name without an address cannot be connected to directly",
      });
      return;
    }
    const descriptor = sockets.connect(words, port, origin);
    if (descriptor < 0) this.#fail(destinationFailure(sockets, descriptor));
    else this.descriptor = descriptor;
  }

  advance(): DialState {
    if (this.#state !== "pending") return this.#state;
    const result = this.#sockets.connectResult(this.descriptor);
    if (result === -SocketError.InProgress) return "pending";
    if (result < 0) this.#fail(destinationFailure(this.#sockets, result));
    else {
      this.#sockets.noDelay(this.descriptor);
      this.#state = "connected";
    }
    return this.#state;
  }

  take(): number {
    if (this.#state !== "connected" || this.descriptor < 0) {
      throw new Error("this dial has no connection to take");
    }
    const taken = this.descriptor;
    this.descriptor = -1;
    return taken;
  }

  [Symbol.dispose](): void {
    if (this.descriptor >= 0) this.#sockets.close(this.descriptor);
    this.descriptor = -1;
    if (this.#state !== "failed") {
      this.#fail({ kind: "system", text: "the dial was given up" });
    }
  }

  #fail(failure: DialFailure): void {
    this.#state = "failed";
    this.failure = failure;
  }
}
