/**
 * The host's side of an interface by iphlpapi: MTU, metric, addresses and
 * routes, made to be as a configuration says, and undone.
 *
 * An adapter takes addresses and routes along when it goes; rules of the
 * firewall and of name resolution stay, and the journal is for them most of all.
 */
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
import { IPV6_MINIMUM_MTU, withoutIpv6 } from "../interface_change.ts";
import { recoverLeftovers } from "../recovery.ts";
import { InterfaceEntries } from "../shared/interface_entries.ts";
import { findEgress } from "./egress.ts";
import { IpEntries } from "./entry_tables.ts";
import { Firewall } from "./firewall.ts";
import {
  FirewallError,
  interfaceRule,
  listenerRule,
  type RunProgram,
  runProgram,
} from "./firewall_rule.ts";
import { undoEntry } from "./host_network_recovery.ts";
import { type IpTables, openIpTables } from "./ip_helper.ts";
import type { FamilySettings, WindowsLink } from "./ip_rows.ts";
import { type NamePolicy, openNamePolicy } from "./name_policy.ts";
import { GONE, tolerate } from "./tolerate.ts";

const FAMILIES = [4, 6] as const;
/** How long a new adapter may take to get IPv4, and IPv6 after it, in ms. */
const IPV4_PATIENCE_MS = 5000;
const IPV6_PATIENCE_MS = 1000;
const PAUSE_MS = 20;

/**
 * What a tunnel is to the host: what comes in for others is the gateway's to
 * pass on, and behind it there are no routers and nobody who could have its
 * addresses.
 */
const TUNNEL = {
  forwards: false,
  routerDiscovery: 0,
  duplicateProbes: 0,
} as const;

/** What a HostNetwork works with. */
export interface HostNetworkOptions {
  readonly tables: IpTables;
  readonly policy: NamePolicy;
  readonly journal: Journal;
  readonly run: RunProgram;
  /** Blocks for so long, in ms. */
  readonly pause: (ms: number) => void;
}

/** What we changed of one interface. */
interface Applied {
  readonly link: WindowsLink;
  /** Families as they were before us; none of a family that it lacks. */
  readonly before: ReadonlyMap<4 | 6, FamilySettings>;
  readonly entries: InterfaceEntries;
}

/** Opens the host's network configuration. @throws {MissingLibraryError} */
export function openHostNetwork(journal: Journal): HostNetwork {
  using guard = new DisposableStack();
  const tables = guard.use(openIpTables());
  const policy = guard.use(openNamePolicy());
  guard.move();
  return hostNetworkOf({ tables, policy, journal, run: runProgram, pause });
}

/** The host's network over parts that are given. */
export function hostNetworkOf(options: HostNetworkOptions): HostNetwork {
  return new WindowsHostNetwork(options);
}

function pause(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

class WindowsHostNetwork implements HostNetwork {
  readonly #options: HostNetworkOptions;
  readonly #tables: IpTables;
  readonly #entries: IpEntries;
  readonly #journal: Journal;
  readonly #applied = new Map<string, Applied>();
  readonly #firewall: Firewall;

  constructor(options: HostNetworkOptions) {
    this.#options = options;
    this.#tables = options.tables;
    this.#entries = new IpEntries(options.tables);
    this.#journal = options.journal;
    this.#firewall = new Firewall(options.run, options.journal);
  }

  apply(config: InterfaceConfig): readonly NetworkWarning[] {
    const link = this.#tables.link(config.name);
    if (link === undefined) {
      throw new Error(`there is no interface named ${config.name}`);
    }
    const applied = this.#appliedTo(link, config);
    const missing = config.mtu < IPV6_MINIMUM_MTU
      ? "mtu"
      : applied.before.has(6)
      ? undefined
      : "disabled";
    const { possible, warnings } = withoutIpv6(config, missing);
    this.#applyFamilies(applied, possible);
    applied.entries.applyAddresses(possible);
    applied.entries.applyRoutes(possible);
    this.#letIn(possible);
    return warnings;
  }

  /** Windows takes what comes in, whichever way its answers leave. */
  loosen(): Loosened {
    return { kind: "unneeded" };
  }

  admit(port: number): Admitted {
    const rule = listenerRule(port);
    try {
      this.#firewall.add(rule);
      return { kind: "admitted", rule: rule.name };
    } catch (error) {
      if (!(error instanceof FirewallError)) throw error;
      return { kind: "refused", reason: error.message };
    }
  }

  reset(): void {
    for (const [name, { link, before, entries }] of this.#applied) {
      entries.remove();
      for (const [family, settings] of before) {
        tolerate(
          GONE,
          () => this.#tables.setFamily(link.index, family, settings),
        );
      }
      entries.forget();
      this.#applied.delete(name);
    }
    this.#firewall.reset();
  }

  recover(): readonly string[] {
    return recoverLeftovers(
      this.#journal,
      (entry) => undoEntry(this.#options, entry),
    );
  }

  interfaceIndex(name: string): number | undefined {
    return this.#tables.link(name)?.index;
  }

  /** @param mark of packets of our own: what we lead elsewhere doesn't count. */
  egressFor(words: AddressWords, mark?: number): Egress | undefined {
    const ours = mark === undefined
      ? []
      : [...this.#applied.values()].map(({ link }) => link.index);
    return findEgress(this.#tables, words, ours);
  }

  [Symbol.dispose](): void {
    this.#tables[Symbol.dispose]();
    this.#options.policy[Symbol.dispose]();
  }

  /** What is known of an interface; nothing where it is a new one of that name. */
  #appliedTo(link: WindowsLink, config: InterfaceConfig): Applied {
    const known = this.#applied.get(link.name);
    if (known !== undefined && known.link.index === link.index) return known;
    const before = this.#families(link, config);
    const entries = new InterfaceEntries(link, this.#entries, this.#journal);
    const applied = { link, before, entries };
    this.#applied.set(link.name, applied);
    return applied;
  }

  /** The families of an interface; those of a new adapter come a little later. */
  #families(
    { index, name }: WindowsLink,
    config: InterfaceConfig,
  ): Map<4 | 6, FamilySettings> {
    const wants = [...config.addresses, ...config.routes]
      .some(({ family }) => family === 6);
    const patience = {
      4: IPV4_PATIENCE_MS,
      6: wants && config.mtu >= IPV6_MINIMUM_MTU ? IPV6_PATIENCE_MS : 0,
    };
    const families = new Map<4 | 6, FamilySettings>();
    for (const family of FAMILIES) {
      for (let left = patience[family];; left -= PAUSE_MS) {
        const settings = this.#tables.family(index, family);
        if (settings !== undefined) families.set(family, settings);
        if (settings !== undefined || left <= 0) break;
        this.#options.pause(PAUSE_MS);
      }
    }
    if (!families.has(4)) {
      throw new Error(`the system gives interface ${name} no IPv4`);
    }
    return families;
  }

  #applyFamilies({ link, before }: Applied, config: InterfaceConfig): void {
    for (const family of before.keys()) {
      if (family === 6 && config.mtu < IPV6_MINIMUM_MTU) continue;
      const isWayOut = config.routes.some((route) =>
        route.family === family && route.prefixLength <= 1
      );
      const present = this.#tables.family(link.index, family);
      const settings: FamilySettings = {
        ...TUNNEL,
        mtu: config.mtu,
        // Ahead of other ways out; else the system's own choice is right.
        metric: isWayOut ? 0 : before.get(family)!.metric,
      };
      if (present !== undefined && sameSettings(present, settings)) continue;
      this.#tables.setFamily(link.index, family, settings);
    }
  }

  /**
   * Connections to listeners of ours that come by the interface: relays have
   * theirs there. Where the firewall takes no rule it is off, or somebody else's
   * who decides that.
   */
  #letIn({ name, addresses }: InterfaceConfig): void {
    if (addresses.length === 0) return;
    try {
      this.#firewall.add(interfaceRule(name, addresses));
    } catch (error) {
      if (!(error instanceof FirewallError)) throw error;
    }
  }
}

function sameSettings(a: FamilySettings, b: FamilySettings): boolean {
  return a.mtu === b.mtu && a.metric === b.metric &&
    a.forwards === b.forwards && a.routerDiscovery === b.routerDiscovery &&
    a.duplicateProbes === b.duplicateProbes;
}
