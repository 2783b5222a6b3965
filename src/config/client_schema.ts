/**
 * The shape of `client.yaml`: keys, types, forms of values and defaults. The
 * JSON schema for editors is made from this. What a value means to others
 * (names of tunnels, what a kind of tunnel needs, forms of rules) is in
 * client_rules.ts.
 *
 * Every key is camelCase. A duration is text such as `90s`, `5m`, `1h30m`, or a
 * number of seconds.
 */
import { z } from "zod";
import { amneziaSchema } from "./amnezia_schema.ts";
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

/** The form of a tunnel's name. */
const TUNNEL_NAME_PATTERN = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,30}[A-Za-z0-9])?$/;
const MOST_RULES = 4096;
const MOST_VALUES = 1024;

const wherePrefix = ["0.0.0.0/0", "::/0"];

const peerSchema = z.strictObject({
  publicKey: key(
    "The other end's public key.",
    "it stands in the other end's configuration",
  ),
  presharedKey: key("A secret that both ends share.", "both ends have the same")
    .optional(),
  endpoint: endpointText.optional().meta({
    description: "Where the other end is: HOST:PORT.",
  }),
  allowedIps: z.array(prefixText).max(MOST_VALUES).default(wherePrefix).meta({
    description: "What the other end may send, and is sent.",
  }),
  persistentKeepalive: duration("Send a keepalive this often; 0 is off.")
    .optional(),
});

const healthSchema = z.strictObject({
  probe: z.enum(["auto", "own", "ping", "dns", "connect"]).default("auto").meta(
    {
      description:
        "What is sent through: own is a handshake, or the proxy's greeting; ping, dns and connect go to target. auto is connect where there is a target, else dns where the tunnel has resolvers, else own.",
    },
  ),
  target: z.string().optional().meta({
    description:
      "ping: an address. connect: HOST:PORT. dns: the name that is asked for.",
  }),
  interval: duration("How often the tunnel is tried.").default("30s"),
  timeout: duration("How long an answer may take.").default("5s"),
  degradedAfter: count(
    1,
    100,
    "After so many failures in a row it counts as degraded; it is still used.",
  ).default(1),
  downAfter: count(
    1,
    100,
    "After so many it is down: rules fall back, and it connects anew.",
  ).default(3),
});

const tunnelSchema = z.strictObject({
  name: z.string().regex(
    TUNNEL_NAME_PATTERN,
    "not a name of a tunnel: 1 to 32 letters, digits or any of . _ - within",
  ).meta({ description: "How rules call it." }),
  type: z.enum(["wireguard", "amneziawg", "socks5", "http"]),
  file: z.string().min(1, "must be a path").optional().meta({
    description:
      "wireguard and amneziawg: a .conf file, relative to this file, in place of the keys below.",
  }),
  url: z.string().optional().meta({
    description:
      "socks5 and http: the proxy, such as socks5://user:password@host:1080 or https://host:443.",
  }),
  privateKey: key("This end's private key.", "sluice genkey makes one")
    .optional(),
  addresses: z.array(prefixText).min(1, "needs at least one address").max(64)
    .optional().meta({ description: "This end's addresses in the tunnel." }),
  mtu: count(576, 9000, "Largest packet inside the tunnel in bytes.")
    .optional(),
  listenPort: count(0, 65535, "UDP port of this end; 0 takes any free one.")
    .optional(),
  peers: z.array(peerSchema).min(1, "needs at least one peer").max(256)
    .optional().meta({ description: "The other ends; one is usual." }),
  amnezia: amneziaSchema.optional(),
  dns: z.array(dnsServerText).max(16).optional().meta({
    description:
      "Resolvers of programs that use this tunnel, asked through it; those of the .conf file without.",
  }),
  health: healthSchema.prefault({}),
});

function oneOrMore<Value extends z.ZodType>(value: Value, help: string) {
  const several = z.array(value, { error: help }).min(
    1,
    "needs at least one value",
  ).max(MOST_VALUES);
  return z.union([value, several], { error: help });
}

const TEXT_HELP = "must be a text or a list of texts";
const texts = oneOrMore(z.string({ error: TEXT_HELP }), TEXT_HELP);
const PORTS_HELP = "must be a port, a range such as 8000-8080, or a list";
const USER_HELP = "must be a user's name or number, or a list";
const PROTOCOL_HELP = "must be tcp, udp or icmp, or a list of them";

const ruleSchema = z.strictObject({
  process: texts.optional().meta({
    description:
      "File name of the program, the whole of it: firefox. Part of a name by a pattern: *chrome*.",
  }),
  directory: texts.optional().meta({
    description: "A folder; programs at any depth below it.",
  }),
  path: texts.optional().meta({
    description:
      "Path of the program; * stays within a folder, ** goes through any number: /opt/app/**.",
  }),
  user: oneOrMore(
    z.union([
      z.string({ error: USER_HELP }).min(1, USER_HELP),
      z.int({ error: USER_HELP }),
    ], { error: USER_HELP }),
    USER_HELP,
  ).optional().meta({ description: "Who runs the program." }),
  children: z.boolean().optional().meta({
    description: "Also programs that a matched program has started.",
  }),
  destination: texts.optional().meta({
    description:
      "Addresses, prefixes, names (example.org) or all names below one (*.example.org).",
  }),
  ports: oneOrMore(
    z.union([
      z.int({ error: PORTS_HELP }),
      z.string({ error: PORTS_HELP }),
    ], { error: PORTS_HELP }),
    PORTS_HELP,
  ).optional().meta({
    description: "Ports of the destination: 443 or 8000-8080.",
  }),
  protocol: oneOrMore(
    z.enum(["tcp", "udp", "icmp"], { error: PROTOCOL_HELP }),
    PROTOCOL_HELP,
  ).optional(),
  tunnel: z.string().meta({
    description: "Name of a tunnel, or direct, or drop.",
  }),
  fallback: z.enum(["allowDirect", "block", "drop", "nextRule"]).optional()
    .meta({
      description:
        "Where the tunnel is down: allowDirect goes without it, block drops (this is the default), nextRule asks the rules below. drop drops also while it is up.",
    }),
});

const uncarried = z.enum(["drop", "direct", "nextRule", "fallback"])
  .default("drop");

/** The whole of `client.yaml`. */
export const clientSchema = z.strictObject({
  tunnels: z.array(tunnelSchema).max(31, "at most 31 tunnels").default([]).meta(
    {
      description: "Ways out, by name.",
    },
  ),
  rules: z.array(ruleSchema).max(MOST_RULES).default([]).meta({
    description: "Which program goes where; the first that matches decides.",
  }),
  default: z.string().meta({
    description: "For all else: name of a tunnel, or direct, or drop.",
  }),
  unknownOwner: z.string().default("drop").meta({
    description:
      "Where it can't be told which program sends: drop, direct, the name of a tunnel, or nextRule to pass over rules about programs.",
  }),
  fragments: z.enum(["drop", "follow"]).default("follow").meta({
    description:
      "What programs send in pieces: follow puts it together and decides about the whole, drop lets none of it pass. TCP in pieces is dropped.",
  }),
  ipv6: uncarried.meta({
    description: "IPv6 of a program whose tunnel has none.",
  }),
  unsupported: uncarried.meta({
    description:
      "What a tunnel can't carry, such as UDP by an HTTP proxy. What is neither TCP, UDP nor ping is dropped in any case.",
  }),
  killSwitch: z.strictObject({
    enabled: z.boolean().default(true).meta({
      description: "Nothing leaves this host but by the rules.",
    }),
    persist: z.boolean().default(false).meta({
      description:
        "Stay closed when the client dies, until it starts again or sluice client --reset.",
    }),
    allowLan: z.boolean().default(false).meta({
      description: "Networks that this host is attached to stay reachable.",
    }),
    allowDhcp: z.boolean().default(true),
    allowInbound: z.array(
      count(1, 65535, "A TCP port of this host."),
    ).max(64).default([22]).meta({
      description:
        "TCP ports at which this host is called from outside, such as SSH: its answers leave past all tunnels.",
    }),
  }).prefault({}),
  dns: z.strictObject({
    policy: z.enum(["follow", "leave"]).default("follow").meta({
      description:
        "follow sends a program's questions the way of its tunnel; leave treats them as any traffic.",
    }),
    direct: z.array(dnsServerText).max(16).default([]).meta({
      description:
        "Resolvers of programs that go direct; empty for those of the system.",
    }),
    timeout: duration("How long to wait for one resolver.").default("2s"),
    shared: z.strictObject({
      programs: z.array(z.string().min(1, "must be a file name")).max(64)
        .optional().meta({
          description:
            "File names of programs that ask on behalf of others; the usual ones without.",
        }),
      queries: z.enum(["rules", "drop"]).default("rules").meta({
        description:
          "Their own questions: rules treats them like those of any program, drop lets none out.",
      }),
    }).prefault({}),
    learned: z.strictObject({
      entries: count(
        0,
        1_000_000,
        "Addresses whose names are kept for rules.",
      ).default(65_536),
      entriesPerProgram: count(1, 1_000_000, "The same of one program.")
        .default(4096),
      minTtl: duration("Names are kept at least this long.").default("5m"),
      maxTtl: duration("Names are kept no longer than this.").default("1d"),
    }).prefault({}),
  }).prefault({}),
  capture: z.strictObject({
    mode: z.enum(["auto", "ndis", "wintun"]).default("auto").meta({
      description:
        "On Windows: ndis captures packets by the driver of the Windows Packet Filter, wintun by an adapter and routes; auto takes ndis where it is installed.",
    }),
    interface: interfaceNameText.default("sluice1").meta({
      description: "Name of the adapter that takes the host's traffic.",
    }),
    mtu: count(1280, 9000, "Largest packet that programs send.").default(1500),
    maxFlows: count(16, 1_048_576, "Flows at once.").default(65_536),
    maxHeldPackets: count(
      1,
      65_536,
      "Packets that wait until their program is found; more are dropped.",
    ).default(4096),
    holdTime: duration("How long they wait.").default("5s"),
    tcpTimeout: duration("An idle TCP flow is forgotten after this.")
      .default("2h4m"),
    udpTimeout: duration("An idle UDP flow is forgotten after this.")
      .default("5m"),
  }).prefault({}),
  reconnect: z.strictObject({
    minDelay: duration("First wait before a tunnel is tried again.")
      .default("1s"),
    maxDelay: duration("Longest wait; each is twice the one before.")
      .default("60s"),
  }).prefault({}),
  control: z.strictObject({
    socket: z.string().min(1, "must be a path").optional().meta({
      description:
        "Where sluice status and the like reach the client; a place of the system without.",
    }),
  }).prefault({}),
  log: z.strictObject({ level: logLevel.default("info") }).prefault({}),
  datapath: z.strictObject({ crypto: cryptoProvider }).prefault({}),
}).meta({ title: "sluice client.yaml" });

/** The validated text form, defaults filled in. */
export type ClientDocument = z.output<typeof clientSchema>;
/** One tunnel of it. */
export type TunnelDocument = ClientDocument["tunnels"][number];
