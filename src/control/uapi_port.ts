/**
 * What WireGuard's configuration protocol asks of a device: its state, and
 * changes of it. The device implements {@linkcode UapiPort}.
 */
import type { Prefix } from "../core/wire/address.ts";
import type { AmneziaParameters } from "../core/wireguard/amnezia.ts";

/** Error numbers of the protocol, from errno.h of Linux. */
export const UapiErrno = {
  Ok: 0,
  Io: 5,
  Invalid: 22,
  Protocol: 71,
  AddressInUse: 98,
  NotSupported: 95,
} as const;

/** One of {@linkcode UapiErrno}. */
export type UapiErrno = typeof UapiErrno[keyof typeof UapiErrno];

/** A request that can't be carried out; its number is the answer. */
export class UapiError extends Error {
  override readonly name = "UapiError";
  readonly errno: UapiErrno;

  constructor(errno: UapiErrno, message: string, options?: ErrorOptions) {
    super(message, options);
    this.errno = errno;
  }
}

/** An address and a port: 4 words, IPv4 as ::ffff:a.b.c.d. */
export interface UapiEndpoint {
  readonly words: Uint32Array | Int32Array;
  readonly port: number;
}

/** A peer as it is now. */
export interface UapiPeer {
  readonly publicKey: Uint8Array;
  readonly presharedKey: Uint8Array | undefined;
  readonly endpoint: UapiEndpoint | undefined;
  /** Milliseconds since 1970; 0 where there was none. */
  readonly lastHandshakeMs: number;
  readonly txBytes: number;
  readonly rxBytes: number;
  /** Seconds; 0 is off. */
  readonly persistentKeepalive: number;
  readonly allowedIps: readonly Prefix[];
}

/** The device as it is now. */
export interface UapiState {
  readonly privateKey: Uint8Array | undefined;
  readonly listenPort: number;
  readonly fwmark: number;
  readonly amnezia: AmneziaParameters | undefined;
  readonly peers: Iterable<UapiPeer>;
}

/** One change of a peer's allowed IPs. */
export interface AllowedIpChange {
  /** An added prefix is taken from whoever had it. */
  readonly kind: "add" | "remove";
  readonly prefix: Prefix;
}

/** What becomes of one peer; what is undefined stays as it is. */
export type UapiPeerChange =
  | { readonly kind: "remove"; readonly publicKey: Uint8Array }
  | {
    /** `put` makes the peer where it is missing; `update` leaves that alone. */
    readonly kind: "put" | "update";
    readonly publicKey: Uint8Array;
    /** `none` takes it away. */
    readonly presharedKey: Uint8Array | "none" | undefined;
    readonly endpoint: UapiEndpoint | undefined;
    /** Seconds; 0 is off. */
    readonly persistentKeepalive: number | undefined;
    /** Whether the peer loses the allowed IPs that it has. */
    readonly allowedIps: "keep" | "replace";
    /** In the order given. */
    readonly allowedIpChanges: readonly AllowedIpChange[];
  };

/** What becomes of the device; what is undefined stays as it is. */
export interface UapiChanges {
  /** `none` takes it away. */
  readonly privateKey: Uint8Array | "none" | undefined;
  readonly listenPort: number | undefined;
  /** 0 takes it away. */
  readonly fwmark: number | undefined;
  /** Whether all peers go before those below come. */
  readonly peers: "keep" | "replace";
  /** All of AmneziaWG's parameters, checked, where one of them changes. */
  readonly amnezia: AmneziaParameters | undefined;
  readonly peerChanges: readonly UapiPeerChange[];
}

/** The device behind the protocol. */
export interface UapiPort {
  get(): UapiState;
  /**
   * Applies changes in order: device, then peers as listed.
   * @throws UapiError where they can't be applied.
   */
  set(changes: UapiChanges): void;
}
