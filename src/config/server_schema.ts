/**
 * The shape of `server.yaml`: keys, types, forms of values and defaults. The
 * JSON schema for editors is made from this. What no single value can tell
 * (overlaps, duplicates, limits between values) is in server_rules.ts.
 *
 * Every key is camelCase. A duration is text such as `90s`, `5m`, `1h30m`, or a
 * number of seconds.
 */
import { z } from "zod";
import { amneziaSchema } from "./amnezia_schema.ts";
import { parseHostPort } from "./endpoint.ts";
import { readInterfaceAddress, readPrefix } from "./prefix.ts";
import {
  count,
  cryptoProvider,
  dnsServerText,
  duration,
  endpointText,
  interfaceNameText,
  key,
  logLevel,
  prefixText,
} from "./schema_values.ts";
import { DEFAULT_PROXY_PREFIXES } from "./tcp_proxy_rules.ts";

/** A peer's name: one DNS label, because `NAME.sluice` resolves. */
export const PEER_NAME_PATTERN: RegExp =
  /^[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/;
const PORT_RANGE_PATTERN = /^\d{1,5}-\d{1,5}$/;

/** Half of the ports that connections to the proxy can come from. */
const MAX_CONNECTIONS = 32_256;

const WORKERS_HELP = "must be auto, single, or a number from 1 to 16";

const interfaceSchema = z.strictObject({
  name: interfaceNameText.default("sluice0").meta({
    description:
      "Name of the TUN adapter and of the UAPI socket that wg finds.",
  }),
  tun: z.enum(["auto", "none"]).default("auto").meta({
    description:
      "auto makes a TUN adapter; none runs without privileges and without host services.",
  }),
  addresses: z.array(
    z.string().refine(
      (text) => readInterfaceAddress(text) !== undefined,
      "not an address with its prefix: write 10.66.0.1/24 or fd00::1/64",
    ),
  ).min(1, "needs at least one address, such as 10.66.0.1/24").default([
    "10.66.0.1/24",
  ])
    .meta({
      description:
        "The gateway's own addresses, each with the prefix that its peers live in.",
    }),
  mtu: count(576, 9000, "Largest packet inside the tunnel in bytes.").default(
    1420,
  ),
  listenPort: count(0, 65535, "UDP port for clients; 0 takes any free one.")
    .default(51820),
  publicEndpoint: z.string().refine(
    (text) => parseHostPort(text, 1) !== undefined,
    "not an endpoint: write vpn.example.org, 203.0.113.7:51820 or [2001:db8::7]:51820",
  ).optional().meta({
    description:
      "Where clients reach the gateway: HOST or HOST:PORT. It goes into their files.",
  }),
  privateKey: key(
    "The gateway's private key (sluice genkey).",
    "sluice genkey makes one",
  ).optional(),
  privateKeyFile: z.string().min(1, "must be a path").optional().meta({
    description:
      "A file with the private key, relative to this file; instead of privateKey.",
  }),
  amnezia: amneziaSchema.optional(),
});

const udpSchema = z.strictObject({
  policy: z.enum(["allow", "drop"]).default("allow"),
  ports: z.string().regex(
    PORT_RANGE_PATTERN,
    "must be a range such as 1024-65535",
  ).default("1024-65535")
    .meta({ description: "Outside ports that mappings may use." }),
  mappingTimeout: duration(
    "How long an idle mapping lives (RFC 4787: at least 2m).",
  ).default("5m"),
  filtering: z.enum([
    "endpoint-independent",
    "address-dependent",
    "address-and-port-dependent",
  ])
    .default("endpoint-independent").meta({
      description: "Who may answer through a mapping (RFC 4787 section 5).",
    }),
  maxMappings: count(
    1,
    1_048_576,
    "Mappings at once, of all peers; each is a socket.",
  ).default(16_384),
  maxMappingsPerPeer: count(1, 1_048_576, "Mappings at once of one peer.")
    .default(4096),
});

const tcpProxySchema = z.strictObject({
  prefixes: z.array(
    z.string().refine(
      (text) => readPrefix(text) !== undefined,
      "not a prefix: write 198.18.254.0/24 or fd73:6c75:6963:6500::/120",
    ),
  ).min(1, "needs at least one prefix").max(2)
    .default([...DEFAULT_PROXY_PREFIXES]).meta({
      description:
        "Addresses on the TUN adapter for the proxy's own use, one prefix for each family; nobody else may need them.",
    }),
  maxConnections: count(
    1,
    MAX_CONNECTIONS,
    "Connections at once, of all peers; each is two sockets.",
  ).default(16_384),
  maxConnectionsPerPeer: count(
    1,
    MAX_CONNECTIONS,
    "Connections at once of one peer.",
  ).default(4096),
  maxDialingPerPeer: count(
    1,
    MAX_CONNECTIONS,
    "Connections of one peer that wait for the other end to answer.",
  ).default(256),
  connectTimeout: duration("How long the other end may take to answer.")
    .default("30s"),
  idleTimeout: duration(
    "How long an idle connection lives (RFC 5382: at least 2h4m).",
  ).default("2h4m"),
});

const forwardSchema = z.strictObject({
  tcp: z.enum(["proxy", "reject", "drop"]).default("proxy").meta({
    description:
      "TCP to the outside: proxy connects from this host for the client, reject answers with a RST, drop says nothing. proxy needs a TUN adapter; without one it is reject.",
  }),
  tcpProxy: tcpProxySchema.prefault({}).meta({
    description: "How tcp: proxy works.",
  }),
  udp: udpSchema.prefault({}).meta({ description: "UDP to the outside." }),
  icmp: z.strictObject({
    policy: z.enum(["allow", "drop"]).default("allow"),
    timeout: duration(
      "How long an echo mapping lives (RFC 5508: at least 60s).",
    ).default("60s"),
  }).prefault({}).meta({ description: "Ping to the outside." }),
  ipv6: z.enum(["nat", "refuse"]).default("nat").meta({
    description:
      "IPv6 from clients: nat where the gateway has IPv6, refuse answers unreachable.",
  }),
  host: z.enum(["allow", "deny"]).default("allow").meta({
    description:
      "Whether clients reach services of the gateway's own host on its tunnel address.",
  }),
});

const dnsSchema = z.strictObject({
  listen: z.boolean().default(true).meta({
    description: "Answer DNS on the gateway's addresses, port 53.",
  }),
  upstreams: z.array(
    dnsServerText,
  ).min(1, "needs at least one server").max(16).default(["1.1.1.1", "9.9.9.9"])
    .meta({
      description: "Servers that questions go to, in order of preference.",
    }),
  timeout: duration("How long to wait for one upstream.").default("2s"),
  cache: z.strictObject({
    entries: count(0, 1_000_000, "Answers kept; 0 keeps none.").default(4096),
    minTtl: duration("Answers are kept at least this long.").default("0s"),
    maxTtl: duration("Answers are kept no longer than this.").default("1d"),
  }).prefault({}),
  domain: z.string().regex(
    /^[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/,
    "not a domain: letters, digits, dots and hyphens",
  ).default("sluice").meta({ description: "Peers resolve as NAME.DOMAIN." }),
});

const peerSchema = z.strictObject({
  name: z.string().regex(
    PEER_NAME_PATTERN,
    "not a peer name: 1 to 63 letters, digits and hyphens, no hyphen at either end",
  ),
  publicKey: key(
    "The peer's public key.",
    "sluice pubkey makes it from a private key",
  ),
  presharedKey: key(
    "A secret that both ends share (sluice genpsk).",
    "sluice genpsk makes one",
  ).optional(),
  addresses: z.array(prefixText).min(
    1,
    "needs at least one address, such as 10.66.0.2/32",
  ).max(64)
    .meta({
      description:
        "The peer's own tunnel addresses, inside the interface's prefixes.",
    }),
  allowedIps: z.array(prefixText).max(1024).default([])
    .meta({ description: "Further prefixes behind this peer." }),
  endpoint: endpointText.optional().meta({
    description: "Where to reach the peer first; it may roam.",
  }),
  persistentKeepalive: duration("Send a keepalive this often; 0 is off.")
    .optional(),
});

/** The whole of `server.yaml`. */
export const serverSchema = z.strictObject({
  interface: interfaceSchema.prefault({}).meta({ description: "The tunnel." }),
  forward: forwardSchema.prefault({}).meta({
    description: "What goes to the outside, and how.",
  }),
  dns: dnsSchema.prefault({}).meta({ description: "The DNS proxy." }),
  peers: z.array(peerSchema).max(65_536).default([]).meta({
    description: "The clients; sluice peer add makes them.",
  }),
  log: z.strictObject({
    level: logLevel.default("info"),
  }).prefault({}),
  datapath: z.strictObject({
    crypto: cryptoProvider,
    workers: z.union([
      z.enum(["auto", "single"]),
      z.int({ error: WORKERS_HELP }).min(1, WORKERS_HELP).max(16, WORKERS_HELP),
    ], { error: WORKERS_HELP }).default("auto").meta({
      description:
        "Threads that move packets: a number for each direction, single for one in all, auto one for each direction where there are two cores.",
    }),
  }).prefault({}).meta({ description: "Tuning." }),
}).meta({ title: "sluice server.yaml" });

/** The validated text form, defaults filled in. */
export type ServerDocument = z.output<typeof serverSchema>;
