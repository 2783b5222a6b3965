/**
 * The host's side of an interface: MTU, state, addresses and routes, made to be
 * as a configuration says, and undone.
 *
 * A TUN interface takes its addresses and routes along when its process dies;
 * the journal is for interfaces that stay.
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
import { Netlink } from "./netlink.ts";
import { loosenFilter, restoreFilter, strictFilter } from "./reverse_path.ts";
import { tolerate } from "./tolerate.ts";
import { IPV6_MINIMUM_MTU, withoutIpv6 } from "../interface_change.ts";
import { InterfaceEntries } from "../shared/interface_entries.ts";
import { NetlinkEntries } from "./entry_tables.ts";
import type { NetlinkLink } from "./netlink_entities.ts";

const ENODEV = 19;

/** What a HostNetwork works with. */
export interface HostNetworkOptions {
  readonly libc: Libc;
  readonly journal: Journal;
}

/** What we changed of one interface. */
interface Applied {
  /** As it was before us. */
  readonly before: NetlinkLink;
  readonly entries: InterfaceEntries;
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
  readonly #entries: NetlinkEntries;
  readonly #journal: Journal;
  readonly #applied = new Map<string, Applied>();
  /** What filters were, by interface. */
  readonly #loosened = new Map<string, number>();

  constructor(options: HostNetworkOptions) {
    this.#libc = options.libc;
    this.#netlink = new Netlink(options.libc);
    this.#entries = new NetlinkEntries(this.#netlink);
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
    applied.entries.applyAddresses(possible);
    if (link.up !== config.up) {
      this.#netlink.setLink(link.index, { up: config.up });
    }
    applied.entries.applyRoutes(possible);
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
    for (const [name, { before, entries }] of this.#applied) {
      const { index, mtu, up } = before;
      entries.remove();
      tolerate([ENODEV], () => this.#netlink.setLink(index, { mtu, up }));
      entries.forget();
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
    const entries = new InterfaceEntries(link, this.#entries, this.#journal);
    const applied = { before: link, entries };
    this.#applied.set(link.name, applied);
    return applied;
  }
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
