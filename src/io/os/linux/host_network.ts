/**
 * The host's side of an interface: MTU, state, addresses and routes, made to be
 * as a configuration says, and undone.
 *
 * What is there is read first, so that only what is missing is added and only
 * what we added is ever removed. Each addition is in the journal before it is
 * made. A TUN interface takes its addresses and routes along when its process
 * dies; the journal is for interfaces that stay.
 */
import type { Libc } from "../../../../ffi/libc.ts";
import type { AddressWords } from "../../../core/wire/address.ts";
import type {
  Admitted,
  Egress,
  HostNetwork,
  InterfaceConfig,
  Journal,
  Loosened,
  NetworkWarning,
} from "../../ports.ts";
import { recoverLeftovers } from "../recovery.ts";
import { undoEntry } from "./host_network_recovery.ts";
import { Netlink, NetlinkError } from "./netlink.ts";
import { loosenFilter, restoreFilter, strictFilter } from "./reverse_path.ts";
import type { LinkAddress, RouteRequest } from "../network_entities.ts";
import {
  fulfils,
  IPV6_MINIMUM_MTU,
  journalEntries,
  networkWords,
  planChange,
  prefixText,
  sameAddress,
  sameNetwork,
  sameRoute,
  withoutIpv6,
} from "../interface_change.ts";
import type { NetlinkLink } from "./netlink_entities.ts";

const ENOENT = 2;
const ESRCH = 3;
const EEXIST = 17;
/** The address's family was switched off at the interface, and it with it. */
const ENXIO = 6;
const ENODEV = 19;
const EADDRNOTAVAIL = 99;

/** What a HostNetwork works with. */
export interface HostNetworkOptions {
  readonly libc: Libc;
  readonly journal: Journal;
}

/** What we changed of one interface. */
interface Applied {
  /** As it was before us. */
  readonly before: NetlinkLink;
  addresses: readonly LinkAddress[];
  routes: readonly RouteRequest[];
}

/**
 * Opens the host's network configuration.
 * @throws {LibcError} where the netlink socket cannot be made.
 */
export function openHostNetwork(options: HostNetworkOptions): HostNetwork {
  return new LinuxHostNetwork(options);
}

class LinuxHostNetwork implements HostNetwork {
  readonly #libc: Libc;
  readonly #netlink: Netlink;
  readonly #journal: Journal;
  readonly #applied = new Map<string, Applied>();
  /** What filters were, by interface. */
  readonly #loosened = new Map<string, number>();

  constructor(options: HostNetworkOptions) {
    this.#libc = options.libc;
    this.#netlink = new Netlink(options.libc);
    this.#journal = options.journal;
  }

  apply(config: InterfaceConfig): readonly NetworkWarning[] {
    const link = this.#netlink.link(config.name);
    if (link === undefined) {
      throw new Error(`there is no interface named ${config.name}`);
    }
    const applied = this.#appliedTo(link);
    if (link.mtu !== config.mtu) {
      this.#netlink.setLink(link.index, { mtu: config.mtu });
    }
    const { possible, warnings } = withoutIpv6(config, missingIpv6(config));
    this.#applyAddresses(applied, possible);
    if (link.up !== config.up) {
      this.#netlink.setLink(link.index, { up: config.up });
    }
    this.#applyRoutes(applied, possible);
    return warnings;
  }

  loosen(interfaceIndex: number): Loosened {
    const link = this.#netlink.links()
      .find(({ index }) => index === interfaceIndex);
    const value = link && strictFilter(link.name);
    if (link === undefined || value === undefined) return { kind: "unneeded" };
    const { name, index } = link;
    const scope = `reverse-path:${name}`;
    this.#journal.record(scope, [
      { kind: "reverse-path", interface: name, index, value },
    ]);
    try {
      loosenFilter(name);
    } catch (error) {
      this.#journal.record(scope, []);
      const reason = error instanceof Error ? error.message : String(error);
      return { kind: "refused", interface: name, reason };
    }
    this.#loosened.set(name, value);
    return { kind: "loosened", interface: name };
  }

  /** What the packet filter lets in is the administrator's business. */
  admit(): Admitted {
    return { kind: "unneeded" };
  }

  reset(): void {
    for (const [name, value] of this.#loosened) {
      restoreFilter(name, value);
      this.#journal.record(`reverse-path:${name}`, []);
      this.#loosened.delete(name);
    }
    for (const [name, applied] of this.#applied) {
      const { index, mtu, up } = applied.before;
      for (const route of applied.routes) this.#removeRoute(route);
      for (const address of applied.addresses) this.#removeAddress(address);
      tolerate([ENODEV], () => this.#netlink.setLink(index, { mtu, up }));
      this.#journal.record(scopeOf(name), []);
      this.#applied.delete(name);
    }
  }

  recover(): readonly string[] {
    const system = { libc: this.#libc, netlink: this.#netlink };
    return recoverLeftovers(
      this.#journal,
      (entry) => undoEntry(system, entry),
    );
  }

  interfaceIndex(name: string): number | undefined {
    return this.#netlink.link(name)?.index;
  }

  egressFor(words: AddressWords, mark?: number): Egress | undefined {
    const route = this.#netlink.lookup(words, mark);
    return route && { interfaceIndex: route.index, source: route.source };
  }

  [Symbol.dispose](): void {
    this.#netlink[Symbol.dispose]();
  }

  /** What is known of an interface; nothing where it is a new one of that name. */
  #appliedTo(link: NetlinkLink): Applied {
    const known = this.#applied.get(link.name);
    if (known !== undefined && known.before.index === link.index) return known;
    const applied = { before: link, addresses: [], routes: [] };
    this.#applied.set(link.name, applied);
    return applied;
  }

  #applyAddresses(applied: Applied, config: InterfaceConfig): void {
    const { index } = applied.before;
    const present = this.#netlink.addresses();
    const wanted = config.addresses.map((address) => ({ ...address, index }));
    const plan = planChange(applied.addresses, wanted, {
      same: sameAddress,
      isPresent: (address) =>
        present.some((other) => sameAddress(other, address)),
    });
    applied.addresses = [...plan.unwanted, ...plan.ours];
    this.#record(applied);
    // Removal first: within one subnet, a later address goes with the first one.
    for (const address of plan.unwanted) this.#removeAddress(address);
    for (const address of plan.missing) {
      tolerate([EEXIST], () => this.#netlink.addAddress(address));
    }
    applied.addresses = plan.ours;
    this.#record(applied);
  }

  #applyRoutes(applied: Applied, config: InterfaceConfig): void {
    const { index } = applied.before;
    // Read now: with an interface's last address the system takes its routes.
    const present = this.#netlink.routes();
    // An interface that is down has no routes.
    const wanted = (config.up ? config.routes : [])
      .map((route) => ({ ...route, words: networkWords(route), index }));
    const plan = planChange(applied.routes, wanted, {
      same: sameRoute,
      isPresent: (route) => present.some((other) => fulfils(other, route)),
    });
    applied.routes = [...plan.unwanted, ...plan.ours];
    this.#record(applied);
    for (const route of plan.unwanted) this.#removeRoute(route);
    for (const route of plan.missing) this.#addRoute(route);
    applied.routes = plan.ours;
    this.#record(applied);
  }

  #addRoute(route: RouteRequest): void {
    try {
      this.#netlink.addRoute(route);
    } catch (error) {
      if (!(error instanceof NetlinkError) || error.code !== EEXIST) {
        throw error;
      }
      const other = this.#netlink.routes().find((present) =>
        sameNetwork(present, route) &&
        (route.metric === undefined || present.metric === route.metric)
      );
      const links = this.#netlink.links();
      const holder = links.find((link) => link.index === other?.index)?.name;
      throw new Error(
        `route ${prefixText(route)}: there is one already` +
          (holder === undefined ? "" : ` through ${holder}`),
        { cause: error },
      );
    }
  }

  #removeRoute(route: RouteRequest): void {
    tolerate(
      [ESRCH, ENODEV, ENOENT],
      () => this.#netlink.removeRoute(route),
    );
  }

  #removeAddress(address: LinkAddress): void {
    tolerate(
      [EADDRNOTAVAIL, ENODEV, ENXIO],
      () => this.#netlink.removeAddress(address),
    );
  }

  #record(applied: Applied): void {
    const { name, index } = applied.before;
    const { addresses, routes } = applied;
    const entries = journalEntries({ name, index }, addresses, routes);
    this.#journal.record(scopeOf(name), entries);
  }
}

function scopeOf(name: string): string {
  return `network:${name}`;
}

function missingIpv6(
  config: InterfaceConfig,
): NetworkWarning["reason"] | undefined {
  if (config.mtu < IPV6_MINIMUM_MTU) return "mtu";
  const path = `/proc/sys/net/ipv6/conf/${config.name}/disable_ipv6`;
  try {
    return Deno.readTextFileSync(path).trim() === "0" ? undefined : "disabled";
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "disabled";
    throw error;
  }
}

/** Runs a change whose result may be there already. */
function tolerate(codes: readonly number[], change: () => void): void {
  try {
    change();
  } catch (error) {
    if (!(error instanceof NetlinkError) || !codes.includes(error.code)) {
      throw error;
    }
  }
}
