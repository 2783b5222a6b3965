/**
 * A Windows host's network in memory, with the rules of iphlpapi: one route for
 * an interface, a prefix and a next hop; one interface for an address; codes as
 * documented. It tells each change as a line.
 */
import { Win32, Win32Error } from "../../../../ffi/windows/win32_error.ts";
import {
  type AddressWords,
  equalWords,
  formatAddress,
} from "../../../../src/core/wire/address.ts";
import {
  prefixText,
  sameNetwork,
} from "../../../../src/io/os/interface_change.ts";
import type {
  LinkAddress,
  RouteRequest,
} from "../../../../src/io/os/network_entities.ts";
import type {
  IpTables,
  WeighedRoute,
} from "../../../../src/io/os/windows/ip_helper.ts";
import type {
  FamilySettings,
  WindowsLink,
} from "../../../../src/io/os/windows/ip_rows.ts";
import type { NamePolicy } from "../../../../src/io/os/windows/name_policy.ts";

const AUTOMATIC_METRIC = 25;
/** What an adapter begins with. */
export const DEFAULT_SETTINGS: FamilySettings = {
  mtu: 1500,
  metric: "automatic",
  forwards: false,
  routerDiscovery: 2,
  duplicateProbes: 3,
};

/** See the file header. */
export class MemoryNetwork implements IpTables {
  /** Changes that were asked and done. */
  readonly calls: string[] = [];
  readonly #links: WindowsLink[] = [];
  readonly #families = new Map<string, FamilySettings>();
  readonly #resolvers = new Map<string, readonly AddressWords[]>();
  #addresses: LinkAddress[] = [];
  #routes: RouteRequest[] = [];

  constructor() {
    this.addLink(1, "Loopback Pseudo-Interface 1", { isLoopback: true });
  }

  addLink(
    index: number,
    name: string,
    options: {
      readonly families?: readonly (4 | 6)[];
      readonly isLoopback?: boolean;
      readonly running?: boolean;
    } = {},
  ): void {
    const { families = [4, 6], isLoopback = false, running = true } = options;
    const guid = `{0000000${index}-0000-4000-8000-000000000000}`;
    this.#links.push({
      index,
      name,
      mtu: 1500,
      up: true,
      running,
      guid,
      isLoopback,
    });
    for (const family of families) this.addFamily(index, family);
  }

  addFamily(index: number, family: 4 | 6): void {
    this.#families.set(`${index} ${family}`, DEFAULT_SETTINGS);
  }

  removeLink(name: string): void {
    const at = this.#links.findIndex((link) => link.name === name);
    const [{ index }] = this.#links.splice(at, 1);
    this.#addresses = this.#addresses.filter((one) => one.index !== index);
    this.#routes = this.#routes.filter((one) => one.index !== index);
    for (const family of [4, 6]) this.#families.delete(`${index} ${family}`);
  }

  links(): WindowsLink[] {
    return [...this.#links];
  }

  link(name: string): WindowsLink | undefined {
    return this.#links.find((link) => link.name === name);
  }

  addresses(): LinkAddress[] {
    return [...this.#addresses];
  }

  routes(): WeighedRoute[] {
    return this.#routes.map((route) => {
      const { metric = 0, gateway, words } = route;
      const own = this.family(route.index, route.family)?.metric;
      const added = typeof own === "number" ? own : AUTOMATIC_METRIC;
      return {
        ...route,
        words: Int32Array.from(words),
        gateway: gateway && Int32Array.from(gateway),
        metric,
        weight: metric + added,
      };
    });
  }

  family(index: number, family: 4 | 6): FamilySettings | undefined {
    return this.#families.get(`${index} ${family}`);
  }

  setFamily(index: number, family: 4 | 6, settings: FamilySettings): void {
    const key = `${index} ${family}`;
    if (!this.#families.has(key)) refuse("SetIpInterfaceEntry", Win32.NotFound);
    this.#families.set(key, settings);
    const { mtu, metric, routerDiscovery, duplicateProbes } = settings;
    this.calls.push(
      `interface ${index} IPv${family} mtu ${mtu} metric ${metric}` +
        ` discovery ${routerDiscovery} probes ${duplicateProbes}`,
    );
  }

  addAddress(address: LinkAddress): void {
    const call = "CreateUnicastIpAddressEntry";
    this.#expectLink(call, address);
    const isThere = this.#addresses.some((other) =>
      equalWords(other.words, 0, address.words, 0)
    );
    if (isThere) refuse(call, Win32.ObjectAlreadyExists);
    this.#addresses.push(address);
    const use = address.use === undefined ? "" : ` ${address.use}`;
    this.calls.push(`+ ${address.index} ${prefixText(address)}${use}`);
  }

  removeAddress(address: LinkAddress): void {
    const at = this.#addresses.findIndex((other) =>
      other.index === address.index &&
      equalWords(other.words, 0, address.words, 0)
    );
    if (at < 0) refuse("DeleteUnicastIpAddressEntry", Win32.NotFound);
    this.#addresses.splice(at, 1);
    this.calls.push(`- ${address.index} ${prefixText(address)}`);
  }

  addRoute(route: RouteRequest): void {
    const call = "CreateIpForwardEntry2";
    this.#expectLink(call, route);
    if (this.#findRoute(route) >= 0) refuse(call, Win32.ObjectAlreadyExists);
    this.#routes.push(route);
    this.calls.push(
      `+ ${route.index} ${prefixText(route)} metric ${route.metric ?? 0}`,
    );
  }

  removeRoute(route: RouteRequest): void {
    const at = this.#findRoute(route);
    if (at < 0) refuse("DeleteIpForwardEntry2", Win32.NotFound);
    this.#routes.splice(at, 1);
    this.calls.push(`- ${route.index} ${prefixText(route)}`);
  }

  bestSource(): undefined {}

  resolvers(): { index: number; words: Int32Array }[] {
    return this.#links.flatMap(({ index, guid }) =>
      (this.#resolvers.get(guid) ?? [])
        .map((words) => ({ index, words: Int32Array.from(words) }))
    );
  }

  setResolvers(guid: string, resolvers: readonly AddressWords[]): void {
    const link = this.#links.find((link) => link.guid === guid);
    if (link === undefined) refuse("SetInterfaceDnsSettings", Win32.NotFound);
    this.#resolvers.set(guid, resolvers);
    const texts = resolvers.map((words) => formatAddress(words)).join(",");
    this.calls.push(`resolvers ${link?.index} [${texts}]`);
  }

  [Symbol.dispose](): void {}

  #expectLink(call: string, { index }: { readonly index: number }): void {
    if (this.#links.some((link) => link.index === index)) return;
    refuse(call, Win32.NotFound);
  }

  #findRoute(route: RouteRequest): number {
    return this.#routes.findIndex((other) =>
      other.index === route.index && sameNetwork(other, route) &&
      (route.gateway === undefined
        ? other.gateway === undefined
        : other.gateway !== undefined &&
          equalWords(route.gateway, 0, other.gateway, 0))
    );
  }
}

/** Rules of name resolution in memory. */
export class MemoryNamePolicy implements NamePolicy {
  readonly rules = new Map<string, readonly string[]>();

  set(key: string, resolvers: readonly AddressWords[]): void {
    this.rules.set(key, resolvers.map((words) => formatAddress(words)));
  }

  remove(key: string): boolean {
    return this.rules.delete(key);
  }

  [Symbol.dispose](): void {}
}

function refuse(call: string, code: number): never {
  throw new Win32Error(call, code);
}
