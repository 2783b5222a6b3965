/**
 * Connections to the outside: straight, or by a proxy. A dial is stepped by
 * whoever owns the poll set; it never blocks, allocates nothing that outlives
 * it, and reports failures instead of throwing them.
 *
 *     const dial = dialer.dial(target);
 *     for (;;) {
 *       wait until dial.descriptor may be read or written (dial.wants)
 *       switch (dial.advance()) {
 *         case "pending":   forget the old descriptor if it changed; wait again
 *         case "connected": relay bytes over dial.take()
 *         case "failed":    tell dial.failure; dial[Symbol.dispose]()
 *       }
 *     }
 *
 * Deadlines are the caller's: a dial that is disposed of ends at once.
 */

/** Where a connection is to go. */
export interface DialTarget {
  /** Four address words; unspecified (all zero) where only the name is known. */
  readonly words: Int32Array;
  readonly port: number;
  /** The domain name, where one is known: a proxy is given it in place of the address. */
  readonly name?: string;
  /** For whom, where a dialer has several ways out: the redirect row and its generation. */
  readonly connection?: { readonly row: number; readonly generation: number };
}

/**
 * Why no connection came about, in an order that counters can be indexed by.
 * The first seven speak of the destination, whoever found it out; a proxy that
 * names the reason (SOCKS5 reply codes) gives the same kinds as the system.
 */
export const DIAL_FAILURE_KINDS = [
  /** The destination's port is closed: a RST came. */
  "refused",
  "host-unreachable",
  "network-unreachable",
  /** The system, or the proxy, waited in vain. */
  "timed-out",
  /** A firewall or the proxy's rules forbid it. */
  "not-permitted",
  /** The connection was reset while it was made. */
  "reset",
  /** There is no way to say this: a name to a direct dialer, an unsupported address type. */
  "unsupported",
  /** The proxy itself could not be reached, or TLS to it failed. */
  "proxy-unreachable",
  /** The proxy closed or reset the connection within the handshake. */
  "proxy-closed",
  /** What the proxy said is not its protocol. */
  "proxy-garbage",
  /** The proxy wants a user and password, or other ones. */
  "proxy-auth",
  /** The proxy said no, for a reason of its own. */
  "proxy-refused",
  /** The system refused a socket: no ports, no memory. */
  "system",
  /** All descriptors that flows may have are taken. */
  "no-descriptor",
] as const;

/** One of {@linkcode DIAL_FAILURE_KINDS}. */
export type DialFailureKind = typeof DIAL_FAILURE_KINDS[number];

/** Why a dial failed. */
export interface DialFailure {
  readonly kind: DialFailureKind;
  /** One printable line for a person, without passwords. */
  readonly text: string;
}

/** Where a dial stands. */
export type DialState = "pending" | "connected" | "failed";

/**
 * A connection in the making. Disposing of it closes what it still owns, in
 * any state and more than once.
 */
export interface Dial extends Disposable {
  /**
   * What to wait for; -1 where it failed at once. It may change in
   * {@linkcode advance}: the caller takes the old one out of its poll set
   * before it calls `advance` again, because the dial then closes it or gives
   * it away.
   */
  readonly descriptor: number;
  /** The event to wait for; errors and hang-ups count as both. */
  readonly wants: "read" | "write";
  /** Why it failed; undefined before. */
  readonly failure: DialFailure | undefined;
  /**
   * Goes on as far as it can without waiting. May be called at any time, also
   * where nothing happened; a new dial is called once before it is waited for.
   */
  advance(): DialState;
  /**
   * The connected descriptor, non-blocking, from now on the caller's. Its first
   * byte is the destination's first: replies of a proxy are read out exactly.
   * @throws {Error} where the dial is not connected or was taken before.
   */
  take(): number;
}

/** A way out. */
export interface Dialer {
  /** For logs: `direct`, `socks5 192.0.2.1:1080`; without passwords. */
  readonly name: string;
  /** Starts a connection; what fails at once is a failed dial, nothing is thrown. */
  dial(target: DialTarget): Dial;
}

/**
 * Where the sockets of a dialer start. Each is optional, so that they don't go
 * into the tunnel that they carry.
 */
export interface SocketOrigin {
  /** Local address in words; used for destinations of its family. */
  readonly localAddress?: Int32Array;
  /** Interface to leave by. */
  readonly interfaceName?: string;
  /** The same by its number, where no name is known. */
  readonly interfaceIndex?: number;
  /**
   * Mark for the host's routing policy (SO_MARK); needs CAP_NET_ADMIN. Windows has
   * none, and passes over it.
   */
  readonly mark?: number;
}

/** User and password for a proxy. */
export interface ProxyCredentials {
  readonly user: string;
  readonly password: string;
}

/** Where a proxy listens; names are resolved by whoever makes the setup. */
export interface ProxyPlace {
  /** Four address words. */
  readonly words: Int32Array;
  readonly port: number;
  /** As the user wrote it: name or address, without brackets. */
  readonly host: string;
}

/** TLS to a proxy. Certificates are always verified. */
export interface ProxyTls {
  /** The name that the certificate must have, and the SNI; a name or an address. */
  readonly serverName: string;
  /** Certificates to trust besides the usual ones, as PEM text. */
  readonly authorities?: string;
}

/**
 * A way out as a user names it, before names are resolved; what a proxy's URL
 * is parsed to.
 */
export type OutboundAddress =
  | { readonly kind: "direct" }
  | ({ readonly kind: "socks5" } & ProxyAddress)
  | ({
    readonly kind: "http";
    /** How the proxy itself is spoken to. */
    readonly transport: "plain" | "tls";
  } & ProxyAddress);

/** Where a proxy is, and who we are to it. */
export interface ProxyAddress {
  /** A name or an address, without brackets. */
  readonly host: string;
  readonly port: number;
  readonly credentials?: ProxyCredentials;
}

/** All that a worker needs to open a dialer: plain data, can be posted to it. */
export type DialerSetup =
  | {
    readonly kind: "direct";
    readonly origin?: SocketOrigin;
    /** For IPv6, where it starts elsewhere. */
    readonly origin6?: SocketOrigin;
  }
  | {
    readonly kind: "socks5";
    readonly proxy: ProxyPlace;
    readonly credentials?: ProxyCredentials;
    readonly origin?: SocketOrigin;
  }
  | {
    readonly kind: "http";
    readonly proxy: ProxyPlace;
    readonly credentials?: ProxyCredentials;
    readonly tls?: ProxyTls;
    readonly origin?: SocketOrigin;
  };

/**
 * A connection to a proxy that is to get TLS. A worker that blocks in calls
 * cannot speak TLS itself: it gives both descriptors to the control thread,
 * which does, and which owns them from then on. Plain data, can be posted.
 */
export interface TlsBridgeRequest {
  /** The connected TCP socket to the proxy. */
  readonly proxyDescriptor: number;
  /** One end of a TCP stream; the worker holds the other and sees plain bytes there. */
  readonly plainDescriptor: number;
  readonly tls: ProxyTls;
}
