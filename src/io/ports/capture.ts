/**
 * Capture of packets on their way between the host and its adapters, in both
 * directions, where the system has a driver for that: no interface and no route
 * of ours is needed.
 *
 * Workers attach to a capture's descriptor as to an interface's, and read and
 * write by a {@linkcode TunDevice} whose rows are the packets
 * of captured frames: `peer` is 0 of what the host sends, -1 of what comes from
 * the network. After each read the rows have verdicts, and `write` carries them
 * out:
 *
 *     Pass      the frame goes on, with the row's bytes
 *     ToHost    the host receives it
 *     others    the frame goes nowhere
 *
 * Rows that were appended are put into frames of their own, to or from the
 * neighbours that the host itself has sent to. Frames without an IP packet go on
 * by themselves, but for those that wrap packets in what nobody looks into.
 */
import type { AddressWords, Prefix } from "../../core/wire/address.ts";

/** An adapter whose frames are captured. */
export interface CapturedAdapter {
  /** As people know it: `Ethernet`. */
  readonly name: string;
  /** The system's own name for it. */
  readonly systemName: string;
  /** Its MAC address: `02:00:5e:10:00:01`. */
  readonly mac: string;
  readonly mtu: number;
}

/**
 * What need not be looked at: the driver lets it through by itself. The first
 * rule that fits holds; what none fits is captured.
 *
 * - `tunnel`: a UDP socket of our own, and its remote
 * - `network`: everything to and from a network; queries to resolvers there are
 *   captured where `dns` says so
 * - `dhcp`: how the host gets its addresses, both families
 */
export type PassRule =
  | {
    readonly kind: "tunnel";
    readonly localPort: number;
    /** Address words. */
    readonly remote: AddressWords;
    readonly remotePort: number;
  }
  | {
    readonly kind: "network";
    readonly prefix: Pick<Prefix, "family" | "words" | "length">;
    readonly dns: "captured" | "passed";
  }
  | { readonly kind: "dhcp" };

/** What somebody who captures is told. */
export interface CaptureEvents {
  /** Adapters have come or gone; those that came are captured by now. */
  onAdapters?(adapters: readonly CapturedAdapter[]): void;
  /** An adapter can't be captured, or the like: a line for the log. */
  onLine(text: string): void;
}

/**
 * Why nothing can be captured.
 *
 * - `library-absent`, `library-untrusted`: there is no library for it, or none
 *   that may be loaded
 * - `driver-absent`: the library is there, its driver is not installed
 * - `not-permitted`: the driver may not be opened with the rights that we have
 * - `wrong-version`: the driver's, or its frames have another size
 * - `unsupported`: this system has no such thing
 * - `failed`: anything else
 */
export type CaptureErrorCode =
  | "library-absent"
  | "library-untrusted"
  | "driver-absent"
  | "not-permitted"
  | "wrong-version"
  | "unsupported"
  | "failed";

/** Capture that is not to be had; the message says why, `advice` what to do. */
export class CaptureError extends Error {
  override readonly name = "CaptureError";
  constructor(
    readonly code: CaptureErrorCode,
    message: string,
    readonly advice: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** What was lost, in frames, and how frames have come. */
export interface CaptureCounters {
  /** Longer than a frame may be: part of a large send that nobody has cut. */
  readonly oversize: number;
  /** Wrapping packets in what nobody looks into. */
  readonly wrapped: number;
  /** For an address by which no frame has come. */
  readonly unknownLink: number;
  readonly fastFrames: number;
  readonly queuedFrames: number;
}

/** Capture as the thread that opened it holds it; disposing ends it, and lets all frames go their own way. */
export interface OpenedCapture extends Disposable {
  /** Usable from any thread of the process until this is disposed of. */
  readonly descriptor: number;
  /** What says it in words: `ndis 3.6.1`. */
  readonly name: string;
  /** The smallest of the adapters'. */
  readonly mtu: number;
  /** How frames come: written by the driver at once, or asked for. */
  readonly transfer: "shared-memory" | "queue";
  adapters(): readonly CapturedAdapter[];
  /** Which packets need not be looked at; in place of what was said before about the same. */
  setPassed(about: "host" | "tunnels", rules: readonly PassRule[]): void;
  /** Begins; whoever reads should wait for it by then. */
  start(): void;
  counters(): CaptureCounters;
}
