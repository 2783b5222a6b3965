/**
 * A kill switch's policy as filters of the Windows Filtering Platform: what is
 * let through, and a block of all else. Of filters that fit the one of the
 * greatest weight decides.
 *
 * A flow is judged once, when it connects or is accepted; what answers one that
 * was let in goes out with it, by the interface whose address it came to (strong
 * host model). So answers that are dropped are calls that are not let in.
 */
import type { AllowedNetwork, KillSwitchPolicy } from "../../ports.ts";

/** Where a filter stands: flows that begin here, flows that come in, what is forwarded. */
export type FilterLayer = "connect" | "accept" | "forward";

/** How long a filter stays. */
export type FilterLife =
  /** As long as the process. */
  | "session"
  /** Until it is taken away. */
  | "persistent"
  /** Between the start of the system and that of the filter engine. */
  | "boot";

/** What a flow must be. */
export type FilterCondition =
  | { readonly kind: "loopback" }
  /** Sent or accepted by this program. */
  | { readonly kind: "own-program" }
  | { readonly kind: "interface"; readonly name: string }
  | { readonly kind: "network"; readonly network: AllowedNetwork }
  | { readonly kind: "protocol"; readonly protocol: number }
  /** Of ICMP it is the type. */
  | { readonly kind: "local-port"; readonly port: number }
  | { readonly kind: "remote-port"; readonly port: number };

/** A filter. */
export interface Filter {
  readonly name: string;
  readonly layer: FilterLayer;
  readonly family: 4 | 6;
  readonly action: "permit" | "block";
  /** 0 to 15. */
  readonly weight: number;
  readonly life: FilterLife;
  /** All must fit; of several that ask for the same thing, one. */
  readonly conditions: readonly FilterCondition[];
}

const TCP = 6, UDP = 17, ICMPV6 = 58;
const DNS_PORT = 53;
const DHCP = { 4: { from: 68, to: 67 }, 6: { from: 546, to: 547 } } as const;
/** Neighbour discovery (RFC 4861) and MLD, by which switches let it through. */
const NEIGHBOUR_TYPES = [133, 134, 135, 136, 131, 132, 143];
const FAMILIES = [4, 6] as const;

/** Weights: blocks of single things stand above what would permit them. */
const Weight = { Ours: 15, Captured: 14, RefusedDns: 12, Allowed: 8, Rest: 0 };

/** The filters of a policy. */
export function killSwitchFilters(policy: KillSwitchPolicy): Filter[] {
  // What holds after a crash is the same as before, but for the capture.
  const stays = policy.afterCrash === "stay" ? "persistent" : "session";
  const layers: FilterLayer[] = [
    "connect",
    ...(policy.answers === "drop" ? ["accept"] as const : []),
  ];
  const filters = FAMILIES.flatMap((family) => [
    ...layers.flatMap((layer) => [
      permit("loopback", { layer, family, weight: Weight.Ours, life: stays }, [
        { kind: "loopback" },
      ]),
      permit("sluice", { layer, family, weight: Weight.Ours, life: stays }, [
        { kind: "own-program" },
      ]),
      ...essentials(policy, {
        layer,
        family,
        weight: Weight.Allowed,
        life: stays,
      }),
    ]),
    ...captured(policy, family),
    ...called(policy, family, stays),
    ...networks(policy, family, stays),
  ]);
  const closed: FilterLayer[] = [
    ...layers,
    ...(policy.forwarded === "drop" ? ["forward"] as const : []),
  ];
  return [
    ...filters,
    ...closed.flatMap((layer) =>
      FAMILIES.flatMap((family) => blocks(layer, family, policy.afterCrash))
    ),
  ];
}

type Place = Pick<Filter, "layer" | "family" | "weight" | "life">;

function permit(
  name: string,
  place: Place,
  conditions: readonly FilterCondition[],
): Filter {
  return { name, action: "permit", ...place, conditions };
}

/** It is the process that captures: without it nothing may go there. */
function captured(policy: KillSwitchPolicy, family: 4 | 6): Filter[] {
  const place: Place = {
    layer: "connect",
    family,
    weight: Weight.Captured,
    life: "session",
  };
  if (policy.captureInterfaces === "below") {
    return [permit("captured below", place, [])];
  }
  return policy.captureInterfaces.map((name) =>
    permit(`to ${name}`, place, [{ kind: "interface", name }])
  );
}

/** Who calls at an open port is let in, where others are not. */
function called(
  { answers, answeredPorts }: KillSwitchPolicy,
  family: 4 | 6,
  life: FilterLife,
): Filter[] {
  if (answers === "pass" || answeredPorts.length === 0) return [];
  const place: Place = {
    layer: "accept",
    family,
    weight: Weight.Allowed,
    life,
  };
  return [permit("open ports", place, [
    { kind: "protocol", protocol: TCP },
    ...answeredPorts.map((port) => ({ kind: "local-port", port } as const)),
  ])];
}

/**
 * What a network needs to work at all. Its servers and neighbours call, too: an
 * answer to what went to all of them comes from one of them.
 */
function essentials(policy: KillSwitchPolicy, place: Place): Filter[] {
  const { family } = place;
  const filters: Filter[] = [];
  if (policy.dhcp === "pass") {
    const { from, to } = DHCP[family];
    filters.push(permit("DHCP", place, [
      { kind: "protocol", protocol: UDP },
      { kind: "local-port", port: from },
      { kind: "remote-port", port: to },
    ]));
  }
  if (family === 6) {
    filters.push(permit("neighbour discovery", place, [
      { kind: "protocol", protocol: ICMPV6 },
      ...NEIGHBOUR_TYPES.map((port) => ({ kind: "local-port", port } as const)),
    ]));
  }
  return filters;
}

function networks(
  policy: KillSwitchPolicy,
  family: 4 | 6,
  life: FilterLife,
): Filter[] {
  const conditions = policy.networks
    .filter((network) => network.family === family)
    .map((network) => ({ kind: "network", network } as const));
  if (conditions.length === 0) return [];
  const place = { layer: "connect", family, life } as const;
  const dns: Filter = {
    name: "DNS to allowed networks",
    action: "block",
    ...place,
    weight: Weight.RefusedDns,
    conditions: [...conditions, { kind: "remote-port", port: DNS_PORT }],
  };
  return [
    ...(policy.networkDns === "drop" ? [dns] : []),
    permit(
      "allowed networks",
      { ...place, weight: Weight.Allowed },
      conditions,
    ),
  ];
}

function blocks(
  layer: FilterLayer,
  family: 4 | 6,
  afterCrash: KillSwitchPolicy["afterCrash"],
): Filter[] {
  const lives: FilterLife[] = afterCrash === "go"
    ? ["session"]
    : ["persistent", "boot"];
  return lives.map((life) => ({
    name: "kill switch",
    layer,
    family,
    action: "block",
    weight: Weight.Rest,
    life,
    conditions: [],
  }));
}
