/** A gateway whose TCP goes by its proxy, and what it says about itself. */
import type { Lab } from "./lab.ts";
import type { LoggedProcess } from "./process.ts";
import { type ConnectedScenario, startConnectedScenario } from "./scenario.ts";
import type { ConfigPart, ServerOptions } from "./sluice.ts";
import { lastStatistic } from "./tun2socks.ts";
import { waitFor } from "./wait.ts";

/** Starts it with clients by wireguard-go and agents everywhere. */
export function startTcpProxy(
  lab: Lab,
  options: Partial<ServerOptions> & {
    readonly clientCount?: number;
    /** Keys of `forward.tcpProxy`. */
    readonly tcpProxy?: ConfigPart;
    /** Other keys of `forward`. */
    readonly forward?: ConfigPart;
    /** Keys of `interface`. */
    readonly interface?: ConfigPart;
  } = {},
): Promise<ConnectedScenario> {
  const { tcpProxy = {}, forward = {} } = options;
  return startConnectedScenario(lab, {
    ...options,
    config: {
      forward: { ...forward, tcp: "proxy", tcpProxy },
      interface: options.interface ?? {},
    },
  });
}

/** A proxy's figures. */
export interface TcpFigures {
  readonly open: number;
  readonly connecting: number;
  readonly opened: number;
  /** Rows of the redirect table whose connections are not over. */
  readonly redirects: number;
}

/** Lines of the statistics; the last one is the newest. */
const LINES = {
  open: /TCP: ([0-9 ]+) open/,
  connecting: /TCP: .* open, ([0-9 ]+) connecting/,
  opened: /TCP: .* connecting, ([0-9 ]+) opened/,
  redirects: /TCP redirects: ([0-9 ]+)$/,
} as const;
/** The last line that each report has. */
const LAST_LINE = /handshakes: /;

/** Asks the gateway for its statistics. */
export async function tcpFigures(process: LoggedProcess): Promise<TcpFigures> {
  const reports = () =>
    process.lines.filter((line) => LAST_LINE.test(line)).length;
  const before = reports();
  process.signal("SIGUSR1");
  await waitFor("the gateway's statistics", () => reports() > before);
  return readFigures(process);
}

/** The figures of the last report, such as that of the process's end. */
export function readFigures(process: LoggedProcess): TcpFigures {
  const [open, connecting, opened, redirects] = Object.values(LINES)
    .map((pattern) => lastStatistic(process, pattern) ?? NaN);
  return { open, connecting, opened, redirects };
}

/** Waits until no connection is left in any table. */
export function waitUntilIdle(process: LoggedProcess): Promise<TcpFigures> {
  return waitFor("the proxy to have no connection left", async () => {
    const figures = await tcpFigures(process);
    const { open, connecting, redirects } = figures;
    return open + connecting + redirects === 0 && figures;
  }, { intervalMs: 200, timeoutMs: 60_000 });
}

/** Failed dials of a kind in the last report. */
export function failedDials(process: LoggedProcess, kind: string): number {
  const pattern = new RegExp(`TCP failed: ${kind} ([0-9 ]+)$`);
  return lastStatistic(process, pattern) ?? 0;
}

/** What a process holds. */
export interface ProcessHoldings {
  readonly descriptors: number;
  readonly residentMegabytes: number;
}

/** Descriptors and resident memory of a process. */
export async function holdingsOf(
  { pid }: LoggedProcess,
): Promise<ProcessHoldings> {
  let descriptors = 0;
  for await (const _ of Deno.readDir(`/proc/${pid}/fd`)) descriptors++;
  const status = await Deno.readTextFile(`/proc/${pid}/status`);
  const kilobytes = Number(status.match(/^VmRSS:\s+([0-9]+) kB$/m)![1]);
  return { descriptors, residentMegabytes: kilobytes / 1024 };
}
