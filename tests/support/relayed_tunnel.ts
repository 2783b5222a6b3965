/**
 * A tunnel between our two ends, with a relay on its way or without one.
 *
 *   client --10.1.1.0/24-- relay --10.2.0.0/24-- gateway
 *   client --10.1.1.0/24-- gateway
 */
import { denoRun } from "./agent.ts";
import type { Lab, Namespace } from "./lab.ts";
import type { LineWeather } from "./lossy_line.ts";
import type { RelayCommand, RelayState } from "./lossy_relay.ts";
import type { LoggedProcess } from "./process.ts";
import {
  type ClientIdentity,
  type Connection,
  makeClient,
  PORT,
  type Server,
  startConnect,
  startServer,
  TUNNEL,
} from "./sluice.ts";
import { waitFor } from "./wait.ts";

const RELAY = new URL("./lossy_relay.ts", import.meta.url).pathname;
const CLIENT = "10.1.1.2";
const NEAR = "10.1.1.1";
const GATEWAY = "10.2.0.1";

/** The relay's addresses as the gateway sees them. */
export const RELAY_ADDRESS = { far: "10.2.0.2", other: "10.2.0.3" } as const;

/** A running relay. */
export class RunningRelay {
  readonly #process: LoggedProcess;
  #answered = 0;

  private constructor(process: LoggedProcess) {
    this.#process = process;
  }

  /** Starts it and waits until it forwards. */
  static async start(
    namespace: Namespace,
    options: { readonly weather: LineWeather; readonly seed: number },
  ): Promise<RunningRelay> {
    const argument = JSON.stringify({
      ...options,
      near: `${NEAR}:${PORT}`,
      far: `${RELAY_ADDRESS.far}:0`,
      other: `${RELAY_ADDRESS.other}:0`,
      gateway: `${GATEWAY}:${PORT}`,
    });
    const process = namespace.spawn("relay", denoRun(RELAY, argument), {
      stdin: "piped",
    });
    await process.waitForLine(/^relay up$/);
    return new RunningRelay(process);
  }

  /** Gives a command and waits for the state after it; one at a time. */
  async call(command: RelayCommand): Promise<RelayState> {
    await this.#process.writeLine(JSON.stringify(command));
    const wanted = ++this.#answered;
    return await waitFor("the relay to answer", () => {
      const states = this.#process.lines.filter((line) => line[0] === "{");
      return states.length >= wanted && JSON.parse(states[wanted - 1]);
    });
  }
}

/** Both ends, connected. */
export interface Tunnel {
  readonly client: Namespace;
  readonly gateway: Namespace;
  readonly server: Server;
  readonly connection: Connection;
  readonly identity: ClientIdentity;
}

/** Starts a tunnel over one link. */
export async function startDirectTunnel(lab: Lab): Promise<Tunnel> {
  const [client, gateway] = await Promise.all([
    lab.namespace("client"),
    lab.namespace("gateway"),
  ]);
  await lab.link(
    { namespace: client, name: "eth0", addresses: [`${CLIENT}/24`] },
    { namespace: gateway, name: "eth0", addresses: [`${NEAR}/24`] },
  );
  return await startEnds(client, gateway);
}

/** Starts a tunnel whose datagrams all pass a relay. */
export async function startRelayedTunnel(
  lab: Lab,
  options: { readonly weather: LineWeather; readonly seed: number },
): Promise<Tunnel & { readonly relay: RunningRelay }> {
  const [client, middle, gateway] = await Promise.all([
    lab.namespace("client"),
    lab.namespace("relay"),
    lab.namespace("gateway"),
  ]);
  await lab.link(
    { namespace: client, name: "eth0", addresses: [`${CLIENT}/24`] },
    { namespace: middle, name: "near", addresses: [`${NEAR}/24`] },
  );
  const { far, other } = RELAY_ADDRESS;
  await lab.link(
    {
      namespace: middle,
      name: "far",
      addresses: [`${far}/24`, `${other}/24`],
    },
    { namespace: gateway, name: "eth0", addresses: [`${GATEWAY}/24`] },
  );
  const relay = await RunningRelay.start(middle, options);
  return { ...await startEnds(client, gateway), relay };
}

async function startEnds(
  client: Namespace,
  gateway: Namespace,
): Promise<Tunnel> {
  const identity = await makeClient(1);
  const server = await startServer(gateway, { clients: [identity] });
  const connection = await startConnect(client, {
    client: identity,
    serverKey: server.keys.publicKey,
    endpoint: `${NEAR}:${PORT}`,
    allowedIps: ["10.66.0.0/24"],
  });
  await client.waitUntilReaches(TUNNEL.gateway);
  return { client, gateway, server, connection, identity };
}
