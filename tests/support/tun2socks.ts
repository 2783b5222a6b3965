/** `sluice tun2socks` and the proxies that it goes by, in namespaces. */
import { denoRun } from "./agent.ts";
import type { Namespace } from "./lab.ts";
import { danteConfig, type DanteOptions } from "./dante.ts";
import type { LoggedProcess } from "./process.ts";
import { type SluiceHost, spawnSluice } from "./sluice.ts";
import { waitFor } from "./wait.ts";

const HTTP_BYTES = new URL("./http_bytes.ts", import.meta.url).pathname;

/** Starts `sluice tun2socks ARGS` and waits until it says that it is up. */
export async function startTun2socks(
  namespace: Namespace,
  args: readonly string[],
  host?: SluiceHost,
): Promise<LoggedProcess> {
  const process = spawnSluice(namespace, "tun2socks", {
    args: ["tun2socks", ...args],
    host,
  });
  await process.waitForLine(/TUN adapter /);
  return process;
}

/** Starts microsocks and waits until it takes connections. */
export async function startMicrosocks(
  namespace: Namespace,
  options: {
    readonly address: string;
    readonly port: number;
    readonly credentials?: { readonly user: string; readonly password: string };
  },
): Promise<LoggedProcess> {
  const { address, port, credentials } = options;
  const process = namespace.spawn("microsocks", [
    "microsocks",
    ...["-i", address, "-p", String(port)],
    ...(credentials === undefined
      ? []
      : ["-u", credentials.user, "-P", credentials.password]),
  ]);
  await listens(namespace, port);
  return process;
}

/** Starts dante, which takes UDP too. */
export async function startDanteIn(
  namespace: Namespace,
  options: DanteOptions,
): Promise<LoggedProcess> {
  const path = await namespace.lab.write("danted.conf", danteConfig(options));
  const process = namespace.spawn("dante", ["danted", "-f", path]);
  await listens(namespace, options.port);
  return process;
}

/** Starts tinyproxy, an HTTP proxy. */
export async function startTinyproxy(
  namespace: Namespace,
  options: {
    readonly address: string;
    readonly port: number;
    readonly credentials?: { readonly user: string; readonly password: string };
  },
): Promise<LoggedProcess> {
  const { address, port, credentials } = options;
  const auth = credentials === undefined
    ? ""
    : `BasicAuth ${credentials.user} ${credentials.password}\n`;
  const path = await namespace.lab.write(
    "tinyproxy.conf",
    `Listen ${address}\nPort ${port}\nMaxClients 100\nTimeout 60\n${auth}`,
  );
  const process = namespace.spawn("tinyproxy", ["tinyproxy", "-d", "-c", path]);
  await listens(namespace, port);
  return process;
}

/** Starts socat, which takes TLS and hands what is in it to a port. */
export async function startTls(
  namespace: Namespace,
  options: {
    readonly address: string;
    readonly port: number;
    /** Address and port of what is behind. */
    readonly behind: string;
    /** Key and certificate, PEM text. */
    readonly pem: string;
  },
): Promise<LoggedProcess> {
  const { address, port, behind, pem } = options;
  const path = await namespace.lab.write("tls.pem", pem);
  const listener = [
    `OPENSSL-LISTEN:${port},bind=${address},fork,reuseaddr`,
    `cert=${path},verify=0`,
  ].join(",");
  const command = ["socat", "-t", "10", listener, `TCP:${behind}`];
  const process = namespace.spawn("socat", command);
  await listens(namespace, port);
  return process;
}

/** Serves bytes by HTTP, see http_bytes.ts. */
export async function startHttpBytes(
  namespace: Namespace,
  options: { readonly address: string; readonly port: number },
): Promise<LoggedProcess> {
  const process = namespace.spawn(
    "http",
    denoRun(HTTP_BYTES, JSON.stringify(options)),
  );
  await process.waitForLine(/^listening$/);
  return process;
}

/**
 * The numbers behind a name in the last statistics that a process printed.
 * @param pattern with one group
 */
export function lastStatistic(
  process: LoggedProcess,
  pattern: RegExp,
): number | undefined {
  const line = process.lines.findLast((line) => pattern.test(line));
  const digits = line?.match(pattern)?.[1];
  return digits === undefined ? undefined : Number(digits.replaceAll(" ", ""));
}

async function listens(namespace: Namespace, port: number): Promise<void> {
  await waitFor(`port ${port} to be listened at`, async () => {
    const { stdout } = await namespace.run(["ss", "-Hltn"]);
    return stdout.split("\n").some((line) => line.includes(`:${port} `));
  }, { intervalMs: 20 });
}
