/**
 * Tunnels whose other end would be reached through themselves, straight or by
 * way of each other. What a client sends for its tunnels leaves outside of all
 * of them, so only what says otherwise counts: an endpoint within a tunnel's
 * own network, or a rule that sends this very endpoint into a tunnel.
 */
import type {
  Rule,
  RuleDestination,
  RuleProtocol,
} from "../core/route/rules/rule.ts";
import {
  formatAddress,
  parseAddress,
  prefixContains,
} from "../core/wire/address.ts";
import { endpointsOf, type PlacedTunnel } from "./client_tunnels.ts";
import type { HostPort } from "./endpoint.ts";
import { addressBits } from "./prefix.ts";
import {
  type PathStep,
  ruleError,
  type RuleProblem,
  valueAt,
} from "./raw_document.ts";
import type { PlacedRule } from "./client_rules.ts";

/** One tunnel is reached through another, because of what stands at a place. */
interface Reach {
  readonly through: PlacedTunnel;
  readonly path: readonly PathStep[];
  readonly text: string;
}

/** Finds every circle, and names it where it closes. */
export function checkTunnelLoops(
  tunnels: readonly PlacedTunnel[],
  rules: readonly PlacedRule[],
  problems: RuleProblem[],
): void {
  const reaches = new Map(
    tunnels.map((tunnel) => [tunnel, reachesOf(tunnel, tunnels, rules)]),
  );
  for (const tunnel of tunnels) {
    for (const reach of reaches.get(tunnel)!) {
      const way = wayTo(tunnel, reach.through, reaches);
      if (way === undefined) continue;
      const circle = [tunnel, ...way].map(({ name }) => name).join(" -> ");
      problems.push(ruleError(
        reach.path,
        `${reach.text}: a loop, ${circle}`,
      ));
    }
  }
}

/** The tunnels from `from` on until `target`, both included. */
function wayTo(
  target: PlacedTunnel,
  from: PlacedTunnel,
  reaches: ReadonlyMap<PlacedTunnel, readonly Reach[]>,
): PlacedTunnel[] | undefined {
  const before = new Map<PlacedTunnel, PlacedTunnel | undefined>([
    [from, undefined],
  ]);
  for (const tunnel of before.keys()) {
    if (tunnel === target) {
      const way: PlacedTunnel[] = [];
      for (
        let at: PlacedTunnel | undefined = tunnel;
        at !== undefined;
        at = before.get(at)
      ) way.unshift(at);
      return way;
    }
    for (const { through } of reaches.get(tunnel) ?? []) {
      if (!before.has(through)) before.set(through, tunnel);
    }
  }
  return undefined;
}

function reachesOf(
  tunnel: PlacedTunnel,
  tunnels: readonly PlacedTunnel[],
  rules: readonly PlacedRule[],
): Reach[] {
  const found: Reach[] = [];
  for (const { endpoint, path } of endpointsOf(tunnel)) {
    const words = parseAddress(endpoint.host);
    for (const other of tunnels) {
      if (words === undefined || !isInside(words, other)) continue;
      found.push({
        through: other,
        path,
        text: `the endpoint ${
          formatAddress(words)
        } lies in the network of tunnel "${other.name}"`,
      });
    }
    const protocol = tunnel.way.kind === "proxy" ? "tcp" : "udp";
    const placed = rules.find(({ rule }) =>
      isAbout(rule, { ...endpoint, protocol })
    );
    const action = placed?.rule.action;
    if (placed === undefined || action?.kind !== "tunnel") continue;
    const through = tunnels.find(({ name }) => name === action.tunnel);
    if (through === undefined) continue;
    found.push({
      through,
      path: destinationPath(placed, endpoint.host),
      text:
        `sends ${endpoint.host}, the endpoint of tunnel "${tunnel.name}", into tunnel "${through.name}"`,
    });
  }
  return found;
}

/** Whether a rule is about an endpoint, whoever asks for it. */
function isAbout(
  rule: Rule,
  { host, port, protocol }: HostPort & { protocol: RuleProtocol },
): boolean {
  if (rule.processes ?? rule.paths ?? rule.directories ?? rule.users) {
    return false;
  }
  const { protocols, ports, destinations } = rule;
  return protocols?.includes(protocol) !== false &&
    ports?.some(({ first, last }) => first <= port && port <= last) !==
      false &&
    destinations?.some((item) => isHost(item, host)) === true;
}

/** The very destination of a rule that is the host. */
function destinationPath(
  { index, rule, raw }: PlacedRule,
  host: string,
): PathStep[] {
  const path = ["rules", index, "destination"];
  const item = rule.destinations!.findIndex((item) => isHost(item, host));
  return Array.isArray(valueAt(raw, ["destination"])) ? [...path, item] : path;
}

/** Whether an address is one that only a tunnel leads to. */
function isInside(words: Uint32Array, { way }: PlacedTunnel): boolean {
  return way.kind === "wireguard" &&
    way.interface.addresses.some((prefix) => prefixContains(prefix, words));
}

/** Whether a destination is this very host and not a range that it lies in. */
function isHost(item: RuleDestination, host: string): boolean {
  if (item.kind === "name") return item.name === host.toLowerCase();
  const words = parseAddress(host);
  return item.kind === "prefix" && words !== undefined &&
    item.prefix.length === addressBits(item.prefix.family) &&
    prefixContains(item.prefix, words);
}
