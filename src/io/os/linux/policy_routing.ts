/**
 * Rules and a table of routes of our own. Each is in the journal before it is
 * made; whatever crash leaves a rule behind leaves it leading to an empty
 * table, from where the system goes on to the next rule.
 *
 * What comes in marked as nobody's: the answers to our own marked packets are
 * looked at by the strict reverse path filter as if they were unmarked, and our
 * rules send those to the tunnel. HostNetwork.loosen() of the interface that we
 * send by is the cure; src_valid_mark changes nothing, for no mark comes back.
 */
import type { Libc } from "../../../../ffi/libc.ts";
import { equalWords } from "../../../core/wire/address.ts";
import type {
  Journal,
  JournalEntry,
  PolicyConfig,
  PolicyRouting,
  PolicyWarning,
  RoutingRule,
  TableRoute,
} from "../../ports.ts";
import { prefixText } from "../interface_change.ts";
import { Netlink } from "./netlink.ts";
import { ROUTE_PROTOCOL } from "./netlink_entities.ts";
import { sameRule, tableNumber } from "./policy_entities.ts";
import { tolerate } from "./tolerate.ts";

const ENOENT = 2;
const ESRCH = 3;
const EEXIST = 17;
const ENODEV = 19;

const SCOPE = "policy";
/** Tables of the system: unspecified, default, main, local. */
const SYSTEM_TABLES = [0, 253, 254, 255];

/** What policy routing works with. */
export interface PolicyRoutingOptions {
  readonly libc: Libc;
  readonly journal: Journal;
}

/** @throws {LibcError} where the netlink socket cannot be made. */
export function openPolicyRouting(
  options: PolicyRoutingOptions,
): PolicyRouting {
  return new LinuxPolicyRouting(new Netlink(options.libc), options.journal);
}

type OwnRoute = TableRoute & { readonly table: number };

class LinuxPolicyRouting implements PolicyRouting {
  readonly #netlink: Netlink;
  readonly #journal: Journal;
  #rules: readonly RoutingRule[] = [];
  #routes: readonly OwnRoute[] = [];

  constructor(netlink: Netlink, journal: Journal) {
    this.#netlink = netlink;
    this.#journal = journal;
  }

  apply(config: PolicyConfig): readonly PolicyWarning[] {
    const { table } = config;
    if (SYSTEM_TABLES.includes(table)) {
      throw new RangeError(`table ${table} is the system's own`);
    }
    this.#refuseForeign(table);
    const { possible, warnings } = withoutMissingFamilies(config);
    const routes = possible.routes.map((route) => ({ ...route, table }));
    const before = { rules: this.#rules, routes: this.#routes };
    const unwantedRules = before.rules.filter((rule) =>
      !possible.rules.some((other) => sameRule(other, rule))
    );
    const unwantedRoutes = before.routes.filter((route) =>
      !routes.some((other) => samePlace(other, route))
    );
    this.#rules = [...unwantedRules, ...possible.rules];
    this.#routes = [...unwantedRoutes, ...routes];
    this.#record();
    this.#setRoutes(routes);
    this.#addRules(possible.rules);
    for (const rule of unwantedRules) this.#removeRule(rule);
    for (const route of unwantedRoutes) this.#removeRoute(route);
    this.#rules = possible.rules;
    this.#routes = routes;
    this.#record();
    return warnings;
  }

  reset(): void {
    for (const rule of this.#rules) this.#removeRule(rule);
    for (const route of this.#routes) this.#removeRoute(route);
    this.#rules = [];
    this.#routes = [];
    this.#record();
  }

  [Symbol.dispose](): void {
    this.#netlink[Symbol.dispose]();
  }

  /** A table that another program uses is not ours to take. */
  #refuseForeign(table: number): void {
    const foreign = this.#netlink.tableRoutes(table)
      .find((route) => route.protocol !== ROUTE_PROTOCOL);
    if (foreign === undefined) return;
    throw new Error(
      `routing table ${table} has a route of another program ` +
        `(${prefixText(foreign)}): choose another table`,
    );
  }

  #setRoutes(routes: readonly OwnRoute[]): void {
    const present = routes.length === 0
      ? []
      : this.#netlink.tableRoutes(routes[0].table);
    for (const route of routes) {
      const there = present.some((other) =>
        samePlace(other, route) && sameWay(other, route)
      );
      if (!there) this.#netlink.setTableRoute(route);
    }
  }

  #addRules(rules: readonly RoutingRule[]): void {
    const present = this.#netlink.rules()
      .filter((rule) => rule.protocol === ROUTE_PROTOCOL);
    for (const rule of rules) {
      if (present.some((other) => sameRule(other, rule))) continue;
      tolerate([EEXIST], () => this.#netlink.addRule(rule));
    }
  }

  #removeRule(rule: RoutingRule): void {
    tolerate([ENOENT, ESRCH], () => this.#netlink.removeRule(rule));
  }

  #removeRoute(route: OwnRoute): void {
    // With its interface the system takes a route.
    tolerate(
      [ESRCH, ENOENT, ENODEV],
      () => this.#netlink.removeTableRoute(route),
    );
  }

  #record(): void {
    const tables = new Set(this.#routes.map(({ table }) => table));
    const entries: JournalEntry[] = [
      ...[...tables].map((table) => ({
        kind: "routing-table" as const,
        table,
      })),
      ...this.#rules.map((rule) => ({
        kind: "routing-rule" as const,
        family: rule.family,
        priority: rule.priority,
        table: tableNumber(rule.table),
      })),
    ];
    this.#journal.record(SCOPE, entries);
  }
}

/** Removes rules of ours that a dead process left. @returns whether there were. */
export function removeLeftRule(
  netlink: Netlink,
  entry: JournalEntry & { kind: "routing-rule" },
): boolean {
  const left = netlink.rules().filter((rule) =>
    rule.protocol === ROUTE_PROTOCOL && rule.family === entry.family &&
    rule.priority === entry.priority && tableNumber(rule.table) === entry.table
  );
  for (const rule of left) {
    tolerate([ENOENT, ESRCH], () => netlink.removeRule(rule));
  }
  return left.length > 0;
}

/** Removes routes of ours that a dead process left. @returns whether there were. */
export function removeLeftTable(netlink: Netlink, table: number): boolean {
  if (SYSTEM_TABLES.includes(table)) return false;
  const left = netlink.tableRoutes(table)
    .filter((route) => route.protocol === ROUTE_PROTOCOL);
  for (const route of left) {
    tolerate([ESRCH, ENOENT], () => netlink.removeTableRoute(route));
  }
  return left.length > 0;
}

/** Leaves IPv6 out on a host that was started without it. */
function withoutMissingFamilies(
  config: PolicyConfig,
): { possible: PolicyConfig; warnings: PolicyWarning[] } {
  const wanted = [...config.rules, ...config.routes]
    .some(({ family }) => family === 6);
  if (!wanted || exists("/proc/sys/net/ipv6")) {
    return { possible: config, warnings: [] };
  }
  const reason = "this system was started without IPv6";
  return {
    possible: {
      ...config,
      rules: config.rules.filter(({ family }) => family === 4),
      routes: config.routes.filter(({ family }) => family === 4),
    },
    warnings: [{ kind: "family-off", family: 6, reason }],
  };
}

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}

/** Whether two routes are for the same packets, so that one replaces the other. */
function samePlace(a: TableRoute, b: TableRoute): boolean {
  return a.family === b.family && a.prefixLength === b.prefixLength &&
    equalWords(a.words, 0, b.words, 0) &&
    (a.metric === b.metric || a.metric === undefined || b.metric === undefined);
}

function sameWay(a: TableRoute, b: TableRoute): boolean {
  if (a.way.kind !== "interface" || b.way.kind !== "interface") {
    return a.way.kind === b.way.kind;
  }
  const { gateway } = a.way;
  const other = b.way.gateway;
  if (a.way.index !== b.way.index) return false;
  return gateway === undefined || other === undefined
    ? gateway === other
    : equalWords(gateway, 0, other, 0);
}
