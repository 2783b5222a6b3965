/** Conditions on the flow itself: destination, ports, protocol. */
import {
  formatAddress,
  formatPrefix,
  prefixContains,
} from "../../wire/address.ts";
import { Protocol, protocolText } from "../../wire/protocol.ts";
import { type FlowCondition, outcome } from "./condition.ts";
import { type FlowFacts, isIcmp } from "./facts.ts";
import type { PortRange, RuleDestination, RuleProtocol } from "./rule.ts";

/** The condition of a rule on destinations: any of them. */
export function destinationCondition(
  destinations: readonly RuleDestination[],
): FlowCondition {
  const prefixes = destinations.flatMap((item) =>
    item.kind === "prefix" ? [item.prefix] : []
  );
  const names = new Set(
    destinations.flatMap((item) => item.kind === "name" ? [item.name] : []),
  );
  const tails = destinations.flatMap((item) =>
    item.kind === "below" ? [`.${item.name}`] : []
  );
  const matches = ({ words, names: known }: FlowFacts) =>
    prefixes.some((prefix) => prefixContains(prefix, words)) ||
    known.some((name) =>
      names.has(name) || tails.some((tail) => isNameBelow(name, tail))
    );
  const wanted = destinations.map(destinationText);
  return {
    matches,
    outcome: (facts) =>
      outcome("destination", matches(facts), {
        wanted,
        actual: [formatAddress(facts.words), ...facts.names],
      }),
  };
}

/** The condition of a rule on ports: in any of the ranges. */
export function portCondition(ranges: readonly PortRange[]): FlowCondition {
  const matches = ({ port }: FlowFacts) =>
    port !== 0 &&
    ranges.some(({ first, last }) => first <= port && port <= last);
  const wanted = ranges.map(({ first, last }) =>
    first === last ? String(first) : `${first}-${last}`
  );
  return {
    matches,
    outcome: (facts) =>
      outcome("ports", matches(facts), {
        wanted,
        actual: facts.port === 0 ? [] : [String(facts.port)],
      }),
  };
}

/** The condition of a rule on protocols: any of them. */
export function protocolCondition(
  protocols: readonly RuleProtocol[],
): FlowCondition {
  const matches = ({ protocol }: FlowFacts) =>
    protocols.some((name) => isProtocol(name, protocol));
  return {
    matches,
    outcome: (facts) =>
      outcome("protocol", matches(facts), {
        wanted: protocols,
        actual: [protocolText(facts.protocol)],
      }),
  };
}

/** A destination as the user writes it. */
export function destinationText(destination: RuleDestination): string {
  switch (destination.kind) {
    case "prefix":
      return formatPrefix(destination.prefix);
    case "name":
      return destination.name;
    case "below":
      return `*.${destination.name}`;
  }
}

/** @param tail begins with the dot. */
function isNameBelow(name: string, tail: string): boolean {
  return name.length > tail.length && name.endsWith(tail);
}

function isProtocol(name: RuleProtocol, protocol: number): boolean {
  switch (name) {
    case "tcp":
      return protocol === Protocol.Tcp;
    case "udp":
      return protocol === Protocol.Udp;
    case "icmp":
      return isIcmp(protocol);
  }
}
