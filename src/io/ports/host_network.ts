/** The host's side of an interface: addresses and routes, declaratively. */
import type { AddressWords } from "../../core/wire/address.ts";

/** An address on an interface. */
export interface InterfaceAddress {
  /** Address words. */
  readonly words: Int32Array;
  /** Prefix length within the family (0-32 or 0-128). */
  readonly prefixLength: number;
  readonly family: 4 | 6;
  /**
   * `listen-only`: the system takes it as the source of nothing that it sends by
   * itself, where it has another (IPv6: deprecated, RFC 4862 section 5.5.4; an
   * IPv4 interface takes its first address anyway).
   */
  readonly use?: "listen-only";
}

/** A route through the interface. */
export interface InterfaceRoute {
  readonly words: Int32Array;
  readonly prefixLength: number;
  readonly family: 4 | 6;
  /** Lower wins; undefined leaves it to the system. */
  readonly metric?: number;
}

/** What the host's network should look like for one of our interfaces. */
export interface InterfaceConfig {
  readonly name: string;
  readonly mtu: number;
  readonly up: boolean;
  readonly addresses: readonly InterfaceAddress[];
  readonly routes: readonly InterfaceRoute[];
}

/**
 * What could not be applied, without making the rest useless: the interface has
 * no IPv6, so that its IPv6 addresses and routes were left out.
 */
export interface NetworkWarning {
  readonly kind: "ipv6-off";
  /** Switched off on this host, or the MTU is below IPv6's 1280. */
  readonly reason: "disabled" | "mtu";
  readonly interface: string;
  /** The prefixes that were left out, as text. */
  readonly omitted: readonly string[];
}

/** What became of an interface's reverse path filter. */
export type Loosened =
  | { readonly kind: "unneeded" }
  | { readonly kind: "loosened"; readonly interface: string }
  | {
    readonly kind: "refused";
    readonly interface: string;
    readonly reason: string;
  };

/** What became of a listener's datagrams at the host's own firewall. */
export type Admitted =
  | { readonly kind: "unneeded" }
  | { readonly kind: "admitted"; readonly rule: string }
  | { readonly kind: "refused"; readonly reason: string };

/** A way out of the host. */
export interface Egress {
  /** The system's number of the interface. */
  readonly interfaceIndex: number;
  /** The host's address there: address words; undefined where routes name none. */
  readonly source: AddressWords | undefined;
}

/** Addresses, links and routes of the host, applied declaratively. */
export interface HostNetwork extends Disposable {
  /**
   * Makes it so: what is missing is added, what we added before and is no
   * longer wanted is removed. Applying the same twice changes nothing.
   * @throws {Error} with the request's name and the system's text; what was
   * done until then stays recorded, and `reset` undoes it.
   */
  apply(config: InterfaceConfig): readonly NetworkWarning[];
  /**
   * Lets an interface take what comes in although its answers would leave by
   * another one: where the system filters that strictly, it is made loose.
   */
  loosen(interfaceIndex: number): Loosened;
  /**
   * Lets datagrams to a port of this program in, where the host's own firewall
   * would drop them; elsewhere that is the administrator's business.
   */
  admit(port: number): Admitted;
  /** Undoes all that `apply`, `loosen` and `admit` did. */
  reset(): void;
  /**
   * Undoes what earlier processes of ours left behind when they died, sockets
   * in the file system included.
   * @returns a line about each thing undone and each journal that made no sense.
   */
  recover(): readonly string[];
  /** The system's number of an interface; undefined where there is none of that name. */
  interfaceIndex(name: string): number | undefined;
  /**
   * How the host would send to a destination now; undefined without a route.
   * @param mark the packet's, where policy routing tells packets apart by it;
   * elsewhere any mark is one of our own packets, which go by no route of ours.
   */
  egressFor(words: AddressWords, mark?: number): Egress | undefined;
}
