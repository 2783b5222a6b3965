/**
 * A split tunnel without control: a table says by the destination's port, or for
 * echoes by its address, where a flow goes. Commands come line by line.
 */
import { ClientProcess } from "../../src/cli/client_process.ts";
import type {
  ClientEgress,
  PacketTunnelSetup,
} from "../../src/control/client_engine.ts";
import { parseKey } from "../../src/config/keys.ts";
import { parseProxyUrl } from "../../src/config/proxy_url.ts";
import { resolveOutbound } from "../../src/io/outbound/resolve_outbound.ts";
import { type FlowVerdict, Way } from "../../src/core/flow/flow_table.ts";
import {
  formatAddress,
  formatEndpoint,
  parseEndpoint,
  parsePrefix,
} from "../../src/core/wire/address.ts";
import { dropReasonText } from "../../src/core/columns/drop_reason.ts";
import { openPlatform } from "../../src/io/platform.ts";

/** A way in the table. */
export interface TableWay {
  readonly way: keyof typeof Way;
  readonly outbound?: number;
  /** Address and port of another destination. */
  readonly to?: string;
}

/** A WireGuard tunnel. */
export interface WireguardOutbound {
  readonly privateKey: string;
  readonly publicKey: string;
  readonly endpoint: string;
  readonly addresses: readonly string[];
  readonly mtu: number;
}

/** What the program is told: JSON, its only argument. */
export interface ClientProgramSetup {
  readonly name: string;
  readonly mark: number;
  readonly egress: string;
  readonly addresses: readonly [string, string];
  readonly wireguard: Readonly<Record<number, WireguardOutbound>>;
  /** URLs. */
  readonly proxies: Readonly<Record<number, string>>;
  /** By port, or by address for echoes; `*` for all others. */
  readonly table: Readonly<Record<string, TableWay>>;
}

const setup: ClientProgramSetup = JSON.parse(Deno.args[0]);
const table = new Map(Object.entries(setup.table));
using platform = openPlatform();
using network = platform.openHostNetwork(platform.openJournal());

const say = (text: string) => console.log(text);
const client = await ClientProcess.start({
  platform,
  network,
  tun: {
    name: setup.name,
    address4: parsePrefix(setup.addresses[0])!,
    address6: parsePrefix(setup.addresses[1])!,
    mtu: 1500,
  },
  mark: setup.mark,
  egress: egressBy(setup.egress),
  trace: true,
  events: {
    onAsk: ({ row, generation, protocol, local, remote, query }) => {
      const place = protocol === 1 || protocol === 58
        ? formatAddress(remote.words)
        : String(remote.port);
      const from = formatEndpoint(local.words, 0, local.port);
      const asked = query === undefined ? "" : ` query ${query.length}`;
      say(
        `ask ${protocol} ${from} -> ${
          formatEndpoint(remote.words, 0, remote.port)
        }${asked}`,
      );
      const verdict = table.get(place) ?? table.get("*") ?? { way: "Drop" };
      if (verdict.way === "Waiting") return;
      client.settle(row, generation, verdictOf(verdict));
    },
    onFlowEnded: () => {},
    onDnsAnswer: ({ payload }) => say(`answer ${payload.length}`),
    onHandshake: (outbound, result) => say(`handshake ${outbound} ${result}`),
    onFailure: (message) => say(`failure ${message}`),
    onLine: (text) => say(`line ${text}`),
    onDrop: (reason, flow) => say(`drop ${dropReasonText(reason)}: ${flow}`),
  },
});
for (const outbound of Object.keys(setup.wireguard)) {
  await attachWireguard(Number(outbound));
}
for (const outbound of Object.keys(setup.proxies)) {
  await attachProxy(Number(outbound));
}
say("client is up");
await obey();
await client[Symbol.asyncDispose]();
say("client has ended");

/** `detach N`, `attach N`, `table PLACE WAY N`, `again`, `end`, `egress NAME`, `reset`, `flows`, `drops`. */
async function obey(): Promise<void> {
  const lines = Deno.stdin.readable.pipeThrough(new TextDecoderStream());
  for await (const text of lines) {
    for (const line of text.split("\n")) {
      const [command, ...words] = line.split(" ");
      switch (command) {
        case "detach":
          await client.detach(Number(words[0]));
          break;
        case "attach":
          if (words[0] in setup.wireguard) {
            await attachWireguard(Number(words[0]));
          } else await attachProxy(Number(words[0]));
          break;
        case "table":
          table.set(words[0], {
            way: words[1] as TableWay["way"],
            outbound: Number(words[2]),
          });
          break;
        case "again":
          for (const { row, generation, remote } of client.flows()) {
            const way = table.get(String(remote.port));
            if (way) client.settle(row, generation, verdictOf(way));
          }
          break;
        case "end":
          client.endFlows(() => true);
          break;
        case "egress":
          client.setEgress(egressBy(words[0]));
          break;
        case "reset":
          client.reset();
          break;
        case "flows":
          for (const flow of client.flows()) {
            say(
              `flow ${flow.protocol} ${
                formatEndpoint(flow.remote.words, 0, flow.remote.port)
              } way ${flow.way} by ${flow.outbound} sent ${flow.sentPackets} received ${flow.receivedPackets}`,
            );
          }
          break;
        case "drops":
          say(`drops ${JSON.stringify(client.statistics().counters.drops)}`);
      }
      if (command !== "") say(`done ${line}`);
    }
  }
}

function attachWireguard(outbound: number): Promise<void> {
  const { privateKey, publicKey, endpoint, addresses, mtu } =
    setup.wireguard[outbound];
  const made: PacketTunnelSetup = {
    privateKey: parseKey(privateKey)!,
    addresses: addresses.map((text) => parsePrefix(text)!),
    mtu,
    amnezia: undefined,
    peers: [{
      name: "server",
      publicKey: parseKey(publicKey)!,
      presharedKey: undefined,
      prefixes: ["0.0.0.0/0", "::/0"].map((text) => parsePrefix(text)!),
      endpoint: parseEndpoint(endpoint)!,
      persistentKeepaliveMs: 0,
    }],
  };
  return client.attachPacketTunnel(outbound, made);
}

async function attachProxy(outbound: number): Promise<void> {
  const parsed = parseProxyUrl(setup.proxies[outbound]);
  if (parsed.kind === "invalid") throw new Error(setup.proxies[outbound]);
  const dialer = await resolveOutbound(parsed);
  await client.attachProxy(outbound, dialer);
}

function egressBy(name: string): ClientEgress {
  const index = network.interfaceIndex(name);
  return { ipv4: index, ipv6: index };
}

function verdictOf({ way, outbound = 0, to }: TableWay): FlowVerdict {
  const end = to === undefined ? undefined : parseEndpoint(to)!;
  return {
    way: Way[way] as FlowVerdict["way"],
    outbound,
    rule: 0,
    to: end && { words: Int32Array.from(end.words), port: end.port },
  };
}
