/** Tunnels and flows as people are shown them. */
import { type FlowSnapshot, Way } from "../../core/flow/flow_table.ts";
import type { EffectCause } from "../../core/route/rules/fallback.ts";
import type { Verdict } from "../../core/route/rules/verdict.ts";
import {
  formatAddress,
  formatEndpoint,
  formatPrefix,
} from "../../core/wire/address.ts";
import { Protocol } from "../../core/wire/protocol.ts";
import { formatHostPort } from "../../config/endpoint.ts";
import type { FlowEnd } from "../client_engine.ts";
import type { FlowView, TunnelView } from "../client_port.ts";
import type { FlowRecord } from "./decider.ts";
import type { Reason } from "./flow_judge.ts";
import { unknownText } from "./flow_owner.ts";
import type { RegisteredTunnel } from "./tunnel_registry.ts";

/** What flows of a tunnel sum up to. */
export interface FlowSum {
  readonly flows: number;
  readonly sentBytes: number;
  readonly receivedBytes: number;
}

/** A tunnel as it stands. */
export function tunnelView(
  { definition, provider, standing }: RegisteredTunnel,
  { sum, now }: { sum: FlowSum; now: number },
): TunnelView {
  const { state, since, reason, retryAt } = standing;
  const { endpoint, lastHandshakeAt, traffic } = provider.status();
  const retry = retryAt === undefined
    ? ""
    : `; tried again in ${Math.max(0, Math.ceil((retryAt - now) / 1000))} s`;
  const shownReason = reason === "" ? "" : reason + retry;
  return {
    name: definition.name,
    type: definition.type,
    state,
    stateMs: now - since,
    ...(shownReason === "" ? {} : { reason: shownReason }),
    endpoint: endpoint === undefined
      ? namedEndpoint(definition)
      : formatEndpoint(endpoint.words, 0, endpoint.port),
    addresses: "conf" in definition
      ? definition.conf.interface.addresses.map(formatPrefix)
      : [],
    ...(lastHandshakeAt === undefined
      ? {}
      : { handshakeMs: now - lastHandshakeAt }),
    flows: sum.flows,
    sentBytes: traffic?.sentBytes ?? sum.sentBytes,
    receivedBytes: traffic?.receivedBytes ?? sum.receivedBytes,
  };
}

/** A living flow. @param record undefined where nobody has decided about it yet. */
export function flowView(
  flow: FlowSnapshot,
  { record, tunnel, now }: {
    record: FlowRecord | undefined;
    /** The name of its way out, where that is a tunnel. */
    tunnel: string | undefined;
    now: number;
  },
): FlowView {
  const { row, generation, protocol, local, remote, way } = flow;
  const { finding, name, judgement } = record ?? {};
  const reason = judgement && reasonText(judgement.reason, finding);
  return {
    id: `${row}.${generation}`,
    protocol: protocolName(protocol),
    local: endText(local, protocol),
    remote: endText(remote, protocol),
    ...(name === undefined ? {} : { name }),
    ...(finding?.program === undefined ? {} : { program: finding.program }),
    way: wayText(way),
    ...(tunnel === undefined ? {} : { tunnel }),
    by: judgement === undefined ? "" : byText(judgement.reason),
    ...(reason === undefined ? {} : { reason }),
    sentBytes: flow.sentBytes,
    receivedBytes: flow.receivedBytes,
    ageMs: now - flow.createdAt,
    idleMs: now - flow.lastAt,
  };
}

/** The way of a flow. */
export function wayText(way: Way): FlowView["way"] {
  switch (way) {
    case Way.Waiting:
      return "waiting";
    case Way.Drop:
      return "drop";
    case Way.Direct:
      return "direct";
    default:
      return "tunnel";
  }
}

/** What decided: `rule 2`. */
export function byText(reason: Reason): string {
  switch (reason.kind) {
    case "rules":
      return verdictText(reason.verdict);
    case "own":
      return "sluice itself";
    case "paused":
      return "pause";
    case "shared-resolver":
      return "dns";
    case "no-resolver":
      return reason.verdict === undefined ? "dns" : verdictText(reason.verdict);
  }
}

function verdictText({ by, rule }: Verdict): string {
  switch (by) {
    case "rule":
      return `rule ${rule + 1}`;
    case "default":
      return "default";
    case "unknown-owner":
      return "unknownOwner";
    case "fragments":
      return "fragments";
  }
}

function reasonText(
  reason: Reason,
  finding: FlowRecord["finding"] | undefined,
): string | undefined {
  switch (reason.kind) {
    case "rules": {
      const { by, cause } = reason.verdict;
      return by === "unknown-owner" && finding?.kind === "unknown"
        ? unknownText(finding)
        : causeText(cause);
    }
    case "shared-resolver":
      return "it asks for programs that are not known";
    case "no-resolver":
      return "no resolver is known that way: name some under dns";
    default:
      return undefined;
  }
}

function causeText(cause: EffectCause): string | undefined {
  switch (cause) {
    case "action":
      return undefined;
    case "tunnel-connecting":
      return "its tunnel is still connecting";
    case "tunnel-down":
      return "its tunnel is down";
    case "no-ipv6":
      return "its tunnel has no IPv6";
    case "unsupported":
      return "its tunnel can't carry this";
  }
}

function namedEndpoint(
  definition: RegisteredTunnel["definition"],
): string | undefined {
  const named = "conf" in definition
    ? definition.conf.peers.find(({ endpoint }) => endpoint)?.endpoint
    : definition.proxy;
  return named && formatHostPort(named);
}

function protocolName(protocol: number): string {
  switch (protocol) {
    case Protocol.Tcp:
      return "tcp";
    case Protocol.Udp:
      return "udp";
    case Protocol.Icmp:
    case Protocol.Icmpv6:
      return "icmp";
    default:
      return String(protocol);
  }
}

function endText({ words, port }: FlowEnd, protocol: number): string {
  const hasPorts = protocol === Protocol.Tcp || protocol === Protocol.Udp;
  return hasPorts ? formatEndpoint(words, 0, port) : formatAddress(words);
}
