/** The host's network at one moment, and what differs between two of them. */
import { equalWords } from "../../core/wire/address.ts";
import type { NetworkChange } from "../ports.ts";
import type { Link, LinkAddress, Route } from "./network_entities.ts";

/** What was read from the system. */
export interface NetworkSnapshot {
  readonly links: readonly Link[];
  readonly addresses: readonly LinkAddress[];
  /** Of the main table; those to everywhere are enough. */
  readonly routes: readonly Route[];
}

/** Leaves out the interfaces that don't count, with what is on them. */
export function withoutInterfaces(
  snapshot: NetworkSnapshot,
  ignored: (name: string) => boolean,
): NetworkSnapshot {
  const links = snapshot.links.filter(({ name }) => !ignored(name));
  const counts = new Set(links.map(({ index }) => index));
  return {
    links,
    addresses: snapshot.addresses.filter(({ index }) => counts.has(index)),
    // A route over several interfaces names none: 0.
    routes: snapshot.routes.filter(({ index }) =>
      index === 0 || counts.has(index)
    ),
  };
}

/** What is other than before. */
export function compareNetworks(
  before: NetworkSnapshot,
  after: NetworkSnapshot,
): NetworkChange[] {
  return [
    ...linkChanges(before.links, after.links),
    ...addressChanges(before, after),
    ...([4, 6] as const).flatMap((family) =>
      defaultChange(family, before, after)
    ),
  ];
}

function linkChanges(
  before: readonly Link[],
  after: readonly Link[],
): NetworkChange[] {
  const gone = before
    .filter(({ index }) => !after.some((link) => link.index === index))
    .map((link) => change(link, "gone"));
  const others = after
    .filter((link) => {
      const old = before.find(({ index }) => index === link.index);
      return old === undefined || old.name !== link.name ||
        isUp(old) !== isUp(link);
    })
    .map((link) => change(link, isUp(link) ? "up" : "down"));
  return [...gone, ...others];
}

function change(link: Link, now: "up" | "down" | "gone"): NetworkChange {
  return { kind: "link", interface: link.name, index: link.index, now };
}

/** Switched on, and with a link. */
function isUp(link: Link): boolean {
  return link.up && link.running;
}

function addressChanges(
  before: NetworkSnapshot,
  after: NetworkSnapshot,
): NetworkChange[] {
  return [
    ...missing(before, after).map((address) => told(address, before, "gone")),
    ...missing(after, before).map((address) => told(address, after, "present")),
  ];
}

/** The addresses of one that the other has not. */
function missing(one: NetworkSnapshot, other: NetworkSnapshot): LinkAddress[] {
  return one.addresses.filter((address) =>
    !other.addresses.some((candidate) =>
      candidate.index === address.index &&
      candidate.prefixLength === address.prefixLength &&
      equalWords(candidate.words, 0, address.words, 0)
    )
  );
}

function told(
  address: LinkAddress,
  snapshot: NetworkSnapshot,
  now: "present" | "gone",
): NetworkChange {
  const { index, family, words } = address;
  const name = nameOf(snapshot, index) ?? "";
  return { kind: "address", interface: name, index, family, words, now };
}

function defaultChange(
  family: 4 | 6,
  before: NetworkSnapshot,
  after: NetworkSnapshot,
): NetworkChange[] {
  const old = defaultRoute(family, before);
  const now = defaultRoute(family, after);
  if (sameRoute(old, now)) return [];
  return [{
    kind: "defaultRoute",
    family,
    interface: now && nameOf(after, now.index),
    index: now?.index,
    gateway: now?.gateway,
  }];
}

/** The route to everywhere that wins. */
export function defaultRoute(
  family: 4 | 6,
  snapshot: NetworkSnapshot,
): Route | undefined {
  let best: Route | undefined;
  for (const route of snapshot.routes) {
    if (route.family !== family || route.prefixLength !== 0) continue;
    if (best === undefined || route.metric < best.metric) best = route;
  }
  return best;
}

function sameRoute(a: Route | undefined, b: Route | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  if (a.index !== b.index) return false;
  return a.gateway === undefined || b.gateway === undefined
    ? a.gateway === b.gateway
    : equalWords(a.gateway, 0, b.gateway, 0);
}

function nameOf(snapshot: NetworkSnapshot, index: number): string | undefined {
  return snapshot.links.find((link) => link.index === index)?.name;
}
