/** The product's own processes in a namespace: `server`, `connect` and the short commands. */
import { denoRun } from "./agent.ts";
import type { ClientPlace } from "./gateway_net.ts";
import { generateKeyPair, type KeyPair } from "./keys.ts";
import type { Namespace } from "./lab.ts";
import type {
  CommandOptions,
  CommandResult,
  LoggedProcess,
} from "./process.ts";
import type { Unprivileged } from "./unprivileged.ts";

const MAIN = new URL("../../main.ts", import.meta.url).pathname;

/** The port that servers of the tests listen at. */
export const PORT = 51820;
/** The server's own tunnel addresses. */
export const TUNNEL = { gateway: "10.66.0.1", gateway6: "fd66::1" } as const;

/** A part of the config: any depth, merged over the tests' own. */
export type ConfigPart = { readonly [key: string]: unknown };

/** The keys and addresses of one client. */
export interface ClientIdentity extends KeyPair {
  readonly name: string;
  readonly address: string;
  readonly address6: string;
  readonly presharedKey?: string;
  readonly persistentKeepalive?: number;
}

/** Makes a client's keys; the n-th client (from 1) has 10.66.0.(n + 1). */
export async function makeClient(
  n: number,
  options: {
    readonly presharedKey?: string;
    readonly persistentKeepalive?: number;
  } = {},
): Promise<ClientIdentity> {
  return {
    ...await generateKeyPair(),
    ...options,
    name: `client${n}`,
    address: `10.66.0.${n + 1}`,
    address6: `fd66::${n + 1}`,
  };
}

/** A system of its own in a namespace, where the program runs instead of here. */
export interface SluiceHost {
  /** Starts `sluice ARGS` without waiting for anything. */
  spawnSluice(
    args: readonly string[],
    options: Pick<SpawnSluiceOptions, "timers" | "env">,
  ): LoggedProcess;
}

/** How to run the server. */
export interface ServerOptions {
  readonly clients: readonly ClientIdentity[];
  /** Merged over the tests' config. */
  readonly config?: ConfigPart;
  /** A key pair to keep over a restart. */
  readonly keys?: KeyPair;
  /** The timers to shorten: fields of TimerConstants, in ms. */
  readonly timers?: Readonly<Record<string, number>>;
  readonly env?: Record<string, string>;
  readonly logLevel?: "info" | "debug" | "trace";
  /** Runs it as an ordinary user. */
  readonly user?: Unprivileged;
  /** Makes the system that it runs on, in its namespace. */
  readonly host?: (namespace: Namespace) => Promise<SluiceHost>;
}

/** A running `sluice server`. */
export interface Server {
  readonly process: LoggedProcess;
  readonly namespace: Namespace;
  readonly keys: KeyPair;
  readonly configPath: string;
  readonly interfaceName: string;
}

/** The server's config as a value; JSON is YAML. */
export function serverConfig(
  keys: KeyPair,
  options: ServerOptions,
): ConfigPart {
  return merge({
    interface: {
      name: "sluice0",
      addresses: [`${TUNNEL.gateway}/24`, `${TUNNEL.gateway6}/64`],
      listenPort: PORT,
      privateKey: keys.privateKey,
    },
    forward: { tcp: "reject" },
    dns: { upstreams: ["198.51.100.53"] },
    peers: options.clients.map((client) => ({
      name: client.name,
      publicKey: client.publicKey,
      ...(client.presharedKey && { presharedKey: client.presharedKey }),
      ...(client.persistentKeepalive &&
        { persistentKeepalive: client.persistentKeepalive }),
      addresses: [`${client.address}/32`, `${client.address6}/128`],
    })),
  }, options.config ?? {});
}

function merge(base: ConfigPart, over: ConfigPart): ConfigPart {
  const result: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(over)) {
    const old = result[key];
    result[key] = isPart(old) && isPart(value) ? merge(old, value) : value;
  }
  return result;
}

function isPart(value: unknown): value is ConfigPart {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

let fileNumber = 0;

/** Starts `sluice server` and waits until it says that it is up. */
export async function startServer(
  namespace: Namespace,
  options: ServerOptions,
): Promise<Server> {
  const keys = options.keys ?? await generateKeyPair();
  const config = serverConfig(keys, options);
  const mode = options.user ? 0o644 : 0o600;
  const configPath = await namespace.lab.write(
    `server${++fileNumber}.yaml`,
    JSON.stringify(config, undefined, 2),
    mode,
  );
  const process = spawnSluice(namespace, "server", {
    args: [
      "server",
      "-c",
      configPath,
      "--log-level",
      options.logLevel ?? "debug",
    ],
    timers: options.timers,
    env: options.env,
    user: options.user,
    host: await options.host?.(namespace),
  });
  const { name } = (config as { interface: { name: string } }).interface;
  const server = { process, namespace, keys, configPath, interfaceName: name };
  await process.waitForLine(/gateway up:/);
  return server;
}

/** How to run the client end. */
export interface ConnectOptions {
  readonly client: ClientIdentity;
  /** The server's public key. */
  readonly serverKey: string;
  /** HOST:PORT of the server. */
  readonly endpoint: string;
  readonly allowedIps?: readonly string[];
  /** More lines of `[Interface]`, such as AmneziaWG's. */
  readonly interfaceLines?: readonly string[];
  readonly timers?: Readonly<Record<string, number>>;
  readonly env?: Record<string, string>;
  /** Base name of the `.conf`, which names the interface; "tunnel" where left out. */
  readonly name?: string;
  /** The system that it runs on. */
  readonly host?: SluiceHost;
}

/** What clients of the tests send through the tunnel. */
export const CLIENT_ALLOWED_IPS = [
  "10.66.0.0/24",
  "fd66::/64",
  "198.51.100.0/24",
  "10.2.0.0/24",
  "2001:db8:3::/64",
] as const;

/** The text of the client's `.conf`. */
export function clientConf(options: ConnectOptions): string {
  const { client } = options;
  return [
    "[Interface]",
    `PrivateKey = ${client.privateKey}`,
    `Address = ${client.address}/24, ${client.address6}/64`,
    "MTU = 1420",
    ...options.interfaceLines ?? [],
    "",
    "[Peer]",
    `PublicKey = ${options.serverKey}`,
    ...(client.presharedKey ? [`PresharedKey = ${client.presharedKey}`] : []),
    `Endpoint = ${options.endpoint}`,
    `AllowedIPs = ${(options.allowedIps ?? CLIENT_ALLOWED_IPS).join(", ")}`,
    ...(client.persistentKeepalive
      ? [`PersistentKeepalive = ${client.persistentKeepalive}`]
      : []),
    "",
  ].join("\n");
}

/** A running `sluice connect`. */
export interface Connection {
  readonly process: LoggedProcess;
  readonly namespace: Namespace;
  readonly interfaceName: string;
}

/** Starts `sluice connect` and waits until it says that its tunnel is up. */
export async function startConnect(
  namespace: Namespace,
  options: ConnectOptions,
): Promise<Connection> {
  const interfaceName = options.name ?? "tunnel";
  const directory = `${namespace.lab.directory}/connect${++fileNumber}`;
  await Deno.mkdir(directory);
  const path = `${directory}/${interfaceName}.conf`;
  await Deno.writeTextFile(path, clientConf(options), { mode: 0o600 });
  const process = spawnSluice(namespace, "connect", {
    args: ["connect", path],
    timers: options.timers,
    env: options.env,
    host: options.host,
  });
  await process.waitForLine(/tunnel up:/);
  return { process, namespace, interfaceName };
}

/** Connects a client of a {@linkcode startServer} from its place in the network. */
export function connectTo(
  server: Server,
  place: ClientPlace,
  client: ClientIdentity,
  options: Partial<ConnectOptions> = {},
): Promise<Connection> {
  return startConnect(place.namespace, {
    client,
    serverKey: server.keys.publicKey,
    endpoint: `${place.gateway}:${PORT}`,
    ...options,
  });
}

/** How to start one of the program's commands. */
export interface SpawnSluiceOptions {
  readonly args: readonly string[];
  readonly timers?: Readonly<Record<string, number>>;
  readonly env?: Record<string, string>;
  readonly user?: Unprivileged;
  readonly cwd?: string;
  /** How many files it may open; the system's limit without. */
  readonly openFiles?: number;
  /** The system that it runs on, where that isn't ours. */
  readonly host?: SluiceHost;
}

/** Starts `sluice ARGS` without waiting for anything. */
export function spawnSluice(
  namespace: Namespace,
  name: string,
  options: SpawnSluiceOptions,
): LoggedProcess {
  if (options.host) return options.host.spawnSluice(options.args, options);
  return namespace.spawn(
    `sluice ${name}`,
    [
      ...limitOf(options.openFiles),
      ...commandLine(options.user),
      ...options.args,
    ],
    {
      env: {
        NO_COLOR: "1",
        ...(options.timers &&
          { SLUICE_TEST_TIMERS: JSON.stringify(options.timers) }),
        ...options.user?.env,
        ...options.env,
      },
      setpriv: options.user?.setpriv,
      cwd: options.cwd,
    },
  );
}

/** Runs `sluice ARGS` in a namespace to its end; any exit code is an answer. */
export function runSluice(
  namespace: Namespace,
  args: readonly string[],
  options: CommandOptions & { readonly user?: Unprivileged } = {},
): Promise<CommandResult> {
  return namespace.run([...commandLine(options.user), ...args], {
    ...options,
    env: { NO_COLOR: "1", ...options.user?.env, ...options.env },
    setpriv: options.user?.setpriv,
    exit: "any",
  });
}

function limitOf(openFiles: number | undefined): readonly string[] {
  return openFiles === undefined
    ? []
    : ["sh", "-c", `ulimit -n ${openFiles} && exec "$@"`, "sh"];
}

function commandLine(user: Unprivileged | undefined): readonly string[] {
  return user?.sluice ?? denoRun(MAIN);
}

/**
 * How many packets the last statistics of a process count for a drop reason; the
 * process prints them at its end, and on SIGUSR1.
 */
export function dropCount(process: LoggedProcess, reason: string): number {
  let count = 0;
  for (const line of process.lines) {
    const match = line.match(/drops: (.+) ([0-9]+)$/);
    if (match?.[1] === reason) count = Number(match[2]);
  }
  return count;
}
