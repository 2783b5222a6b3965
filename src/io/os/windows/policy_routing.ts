/**
 * Routes that lead the host's traffic into an interface. Windows has one table
 * and no marks: what goes into a table of ours elsewhere becomes routes that are
 * nearer than those there are, and packets of our own leave by the interface
 * that their sockets are bound to.
 *
 *     the default route         -> its two halves, nearer than any other one
 *     no rule spares networks   -> the halves of each route of the host as well
 *
 * Multicast, link-local and the host's own addresses stay: they lead nowhere
 * else. Halves of routes that come later are made by the next `apply`.
 */
import { Win32 } from "../../../../ffi/windows/win32_error.ts";
import { parsePrefix } from "../../../core/wire/address.ts";
import type {
  Journal,
  PolicyConfig,
  PolicyRouting,
  PolicyWarning,
  TableRoute,
} from "../../ports.ts";
import {
  journalEntries,
  planChange,
  sameNetwork,
  sameRoute,
} from "../interface_change.ts";
import type { Route, RouteRequest } from "../network_entities.ts";
import { type IpTables, openIpTables } from "./ip_helper.ts";
import { covers } from "./route_choice.ts";
import { GONE, tolerate } from "./tolerate.ts";

const SCOPE = "policy";
const FAMILIES = [4, 6] as const;
/** Where no other interface would be the right one. */
const STAY = [
  "127.0.0.0/8",
  "169.254.0.0/16",
  "224.0.0.0/3",
  "fe80::/10",
  "ff00::/8",
]
  .map((text) => {
    const { family, words, length } = parsePrefix(text)!;
    return { family, words: Int32Array.from(words), prefixLength: length };
  });

/** What it works with. */
export interface PolicyRoutingOptions {
  readonly tables: IpTables;
  readonly journal: Journal;
}

/** Opens the routes of our own. @throws {MissingLibraryError} */
export function openPolicyRouting(journal: Journal): PolicyRouting {
  return policyRoutingOf({ tables: openIpTables(), journal });
}

/** The routes over parts that are given. */
export function policyRoutingOf(options: PolicyRoutingOptions): PolicyRouting {
  return new WindowsPolicyRouting(options);
}

class WindowsPolicyRouting implements PolicyRouting {
  readonly #tables: IpTables;
  readonly #journal: Journal;
  #routes: readonly RouteRequest[] = [];

  constructor({ tables, journal }: PolicyRoutingOptions) {
    this.#tables = tables;
    this.#journal = journal;
  }

  apply(config: PolicyConfig): readonly PolicyWarning[] {
    const present = this.#tables.routes();
    const missing = FAMILIES.filter((family) =>
      config.routes.some((route) => route.family === family) &&
      config.routes.every((route) =>
        route.family !== family || !this.#hasFamily(route)
      )
    );
    const wanted = config.routes
      .filter(({ family }) => !missing.includes(family))
      .flatMap((route) => this.#nearer(route, config, present));
    const plan = planChange(this.#routes, wanted, {
      same: sameRoute,
      isPresent: (route) =>
        present.some((other) =>
          other.index === route.index && sameNetwork(other, route)
        ),
    });
    this.#record([...plan.unwanted, ...plan.ours]);
    for (const route of plan.missing) {
      tolerate([Win32.ObjectAlreadyExists], () => this.#tables.addRoute(route));
    }
    for (const route of plan.unwanted) this.#remove(route);
    this.#record(plan.ours);
    return missing.map((family) => ({
      kind: "family-off",
      family,
      reason: `the interface has no IPv${family}`,
    }));
  }

  reset(): void {
    for (const route of this.#routes) this.#remove(route);
    this.#record([]);
  }

  [Symbol.dispose](): void {
    this.#tables[Symbol.dispose]();
  }

  #hasFamily({ way, family }: TableRoute): boolean {
    return way.kind === "interface" &&
      this.#tables.family(way.index, family) !== undefined;
  }

  /** A route of the table as routes that win over the host's own. */
  #nearer(
    route: TableRoute,
    config: PolicyConfig,
    present: readonly Route[],
  ): RouteRequest[] {
    const { way, family, prefixLength, metric } = route;
    if (way.kind !== "interface") {
      throw new Error("Windows has no routes that refuse");
    }
    const { index } = way;
    const own = { ...route, index, metric: metric ?? 0, gateway: undefined };
    const words = Int32Array.from(route.words);
    if (prefixLength > 0) return [{ ...own, words }];
    const isSparing = config.rules.some((rule) =>
      rule.family === family && rule.suppressPrefixLength === 0
    );
    const rivals = isSparing
      ? []
      : present.filter((other) => isRival(other, family, index));
    return [{ family, words, prefixLength }, ...rivals]
      .flatMap((network) => halves(network))
      .map((half) => ({ ...half, family, index, metric: own.metric }));
  }

  #remove(route: RouteRequest): void {
    tolerate(GONE, () => this.#tables.removeRoute(route));
  }

  #record(routes: readonly RouteRequest[]): void {
    this.#routes = routes;
    const links = this.#tables.links();
    const entries = [...new Set(routes.map(({ index }) => index))]
      .flatMap((index) => {
        const name = links.find((link) => link.index === index)?.name;
        const own = routes.filter((route) => route.index === index);
        // With its interface the system takes a route.
        return name === undefined
          ? []
          : journalEntries({ name, index }, [], own);
      });
    this.#journal.record(SCOPE, entries);
  }
}

/** Whether a route of the host would keep packets from the interface. */
function isRival(route: Route, family: 4 | 6, index: number): boolean {
  const { prefixLength } = route;
  const whole = family === 4 ? 32 : 128;
  if (route.family !== family || route.index === index) return false;
  // A single address is the host's own, or a broadcast.
  if (prefixLength <= 1 || prefixLength >= whole) return false;
  return !STAY.some((one) => one.family === family && covers(one, route.words));
}

/** The two halves of a network. */
function halves(
  { words, prefixLength, family }: Pick<
    Route,
    "words" | "prefixLength" | "family"
  >,
): { words: Int32Array; prefixLength: number }[] {
  const bit = prefixLength + (family === 4 ? 96 : 0);
  const second = Int32Array.from(words);
  second[bit >>> 5] |= 0x8000_0000 >>> (bit & 31);
  return [words, second]
    .map((half) => ({ words: half, prefixLength: prefixLength + 1 }));
}
