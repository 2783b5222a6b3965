/**
 * A kill switch's policy as chains and rules of nf_tables: what is let through,
 * and a counted drop of all else.
 */
import { IPPROTO } from "../../../../ffi/linux_socket_constants.ts";
import { writeU32be } from "../../../core/wire/bytes.ts";
import { writeWords } from "../../../core/wire/address.ts";
import type { AllowedNetwork, KillSwitchPolicy } from "../../ports.ts";
import {
  be32,
  Connection,
  count,
  differs,
  equals,
  Hook,
  interfaceName,
  loadConnection,
  loadMeta,
  loadPayload,
  mask,
  Meta,
  native32,
  newChain,
  newRule,
  NftFamily,
  NftVerdict,
  PayloadBase,
  port,
  setConnectionMark,
  setMark,
  type Step,
  verdict,
} from "./nft_messages.ts";
import type { NamedRequest } from "./netlink_socket.ts";

/** The table, of the family `inet`: both IPv4 and IPv6. */
export const TABLE = "sluice";

/** Neighbour discovery (RFC 4861) and MLD, by which switches let it through. */
const NEIGHBOUR_TYPES = [133, 135, 136, 131, 132, 143];
const CT_ESTABLISHED = 2;
const CT_REPLY = 1;
const DESTINATION4_AT = 16;
const DESTINATION6_AT = 24;
const DNS_PORT = 53;
/** Ours comes when others have rewritten what they want to. */
const PRIORITY = 0;
/** After connections are known, before the filters. */
const ROUTE_PRIORITY = -150;
const TCP_FLAGS_AT = 13;
const SYN = 0x02;
const ACK = 0x10;

type Passed = readonly [name: string, conditions: readonly Step[]];
type Refused = readonly [...Passed, "drop"];

/** What a policy means to this host. */
export interface RuleOptions {
  /** The mark of packets that sluice itself sends. */
  readonly mark: number;
}

/** The requests that make the table's chains and rules. */
export function killSwitchRequests(
  policy: KillSwitchPolicy,
  options: RuleOptions,
): NamedRequest[] {
  const requests = chain("output", Hook.Output, [
    ["our own mark", [loadMeta(Meta.Mark), equals(native32(options.mark))]],
    ["loopback", outputBy("lo")],
    ...throughCapture(policy),
    ...NEIGHBOURS,
    ...(policy.dhcp === "pass" ? DHCP : []),
    ...toNetworks(policy),
  ]);
  requests.push(...answersChain(policy, options));
  if (policy.forwarded === "pass") return requests;
  const forwarded = chain("forward", Hook.Forward, [
    ...throughCapture(policy),
    ...captureInterfaces(policy).map((name): Passed => [
      `from ${name}`,
      [loadMeta(Meta.InputInterface), equals(interfaceName(name))],
    ]),
    ...toNetworks(policy),
  ]);
  return [...requests, ...forwarded];
}

/** Nothing here takes packets beneath the interfaces: then none may leave. */
function captureInterfaces(policy: KillSwitchPolicy): readonly string[] {
  return policy.captureInterfaces === "below" ? [] : policy.captureInterfaces;
}

function throughCapture(policy: KillSwitchPolicy): Passed[] {
  return captureInterfaces(policy)
    .map((name) => [`to ${name}`, outputBy(name)]);
}

function toNetworks(policy: KillSwitchPolicy): (Passed | Refused)[] {
  return [
    ...(policy.answers === "pass" ? [ANSWERS] : []),
    ...(policy.networkDns === "drop" ? DNS : []),
    ...policy.networks.map((network): Passed => [
      "network",
      toNetwork(network),
    ]),
  ];
}

function chain(
  name: string,
  hook: number,
  rules: readonly (Passed | Refused)[],
): NamedRequest[] {
  return [
    {
      name: `chain ${name}`,
      writer: newChain(TABLE, {
        name,
        hook,
        priority: PRIORITY,
        type: "filter",
        policy: NftVerdict.Drop,
      }),
    },
    ...rules.map(([rule, conditions, drop]) => ({
      name: `rule ${name}: ${rule}`,
      writer: newRule(TABLE, name, [
        ...conditions,
        ...(drop === undefined
          ? [verdict(NftVerdict.Accept)]
          : [count(), verdict(NftVerdict.Drop)]),
      ]),
    })),
    {
      name: `rule ${name}: the rest`,
      writer: newRule(TABLE, name, [count(), verdict(NftVerdict.Drop)]),
    },
  ];
}

/**
 * What leaves from a port that others may call at is marked as ours, which
 * leads it by the host's own routes and past the filter: but not within a
 * connection that was opened from here, be its port the same. Connections that
 * were there before us count as calls.
 */
function answersChain(
  { answeredPorts }: KillSwitchPolicy,
  { mark: ours }: RuleOptions,
): NamedRequest[] {
  if (answeredPorts.length === 0) return [];
  const name = "answers";
  const accept = verdict(NftVerdict.Accept);
  const rule = (what: string, steps: readonly Step[]): NamedRequest => ({
    name: `rule ${name}: ${what}`,
    writer: newRule(TABLE, name, [...steps, accept]),
  });
  return [
    {
      name: `chain ${name}`,
      writer: newChain(TABLE, {
        name,
        hook: Hook.Output,
        priority: ROUTE_PRIORITY,
        type: "route",
        policy: NftVerdict.Accept,
      }),
    },
    ...answeredPorts.flatMap((number) => {
      const from = [
        ...protocol(IPPROTO.TCP),
        loadPayload(PayloadBase.Transport, 0, 2),
        equals(port(number)),
      ];
      const opens = [
        loadPayload(PayloadBase.Transport, TCP_FLAGS_AT, 1),
        mask(Uint8Array.of(SYN | ACK)),
        equals(Uint8Array.of(SYN)),
      ];
      const isCall = [loadConnection(Connection.Mark), differs(native32(ours))];
      return [
        rule(`opened from ${number}`, [
          ...from,
          ...opens,
          ...setConnectionMark(ours),
        ]),
        rule(`from ${number}`, [...from, ...isCall, ...setMark(ours)]),
      ];
    }),
  ];
}

function outputBy(name: string): Step[] {
  return [loadMeta(Meta.OutputInterface), equals(interfaceName(name))];
}

function family(number: number): Step[] {
  return [loadMeta(Meta.Family), equals(Uint8Array.of(number))];
}

function protocol(number: number): Step[] {
  return [loadMeta(Meta.Protocol), equals(Uint8Array.of(number))];
}

function dhcp(familyNumber: number, client: number, server: number): Passed {
  return [`DHCP to port ${server}`, [
    ...family(familyNumber),
    ...protocol(IPPROTO.UDP),
    loadPayload(PayloadBase.Transport, 0, 4),
    equals(be32(client * 0x1_0000 + server)),
  ]];
}

function dns(transport: number): Refused {
  return [`DNS by protocol ${transport}`, [
    ...protocol(transport),
    loadPayload(PayloadBase.Transport, 2, 2),
    equals(port(DNS_PORT)),
  ], "drop"];
}

function toNetwork(network: AllowedNetwork): Step[] {
  const four = network.family === 4;
  const length = four ? 4 : 16;
  const bits = prefixBits(network.prefixLength, length);
  const address = new Uint8Array(length);
  if (four) writeU32be(address, 0, network.words[3]);
  else writeWords(address, 0, network.words, 0);
  return [
    ...family(four ? NftFamily.Ipv4 : NftFamily.Ipv6),
    loadPayload(
      PayloadBase.Network,
      four ? DESTINATION4_AT : DESTINATION6_AT,
      length,
    ),
    mask(bits),
    equals(address.map((byte, i) => byte & bits[i])),
  ];
}

/** So many ones, then zeros. */
function prefixBits(ones: number, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => {
    const here = Math.min(8, Math.max(0, ones - i * 8));
    return 0xff << (8 - here) & 0xff;
  });
}

/** Answers within connections that the other end opened. */
const ANSWERS: Passed = ["answers", [
  loadConnection(Connection.State),
  mask(native32(CT_ESTABLISHED)),
  differs(native32(0)),
  loadConnection(Connection.Direction),
  equals(Uint8Array.of(CT_REPLY)),
]];

const NEIGHBOURS = NEIGHBOUR_TYPES.map((type): Passed => [
  `ICMPv6 type ${type}`,
  [
    ...family(NftFamily.Ipv6),
    ...protocol(IPPROTO.ICMPV6),
    loadPayload(PayloadBase.Transport, 0, 1),
    equals(Uint8Array.of(type)),
  ],
]);

const DHCP = [dhcp(NftFamily.Ipv4, 68, 67), dhcp(NftFamily.Ipv6, 546, 547)];

const DNS = [dns(IPPROTO.UDP), dns(IPPROTO.TCP)];
