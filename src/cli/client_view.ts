/** A running split tunnel as people read it: how it stands, and its flows. */
import { formatDuration } from "../config/duration.ts";
import type {
  ClientStatus,
  FlowView,
  TunnelView,
} from "../control/client_port.ts";
import { formatTable, type Style, styled } from "./output.ts";
import { formatAge, formatBytes, formatCount } from "./units.ts";

/** How it is shown. */
export interface ViewOptions {
  /** Whether the terminal shows colours. */
  readonly color: boolean;
}

const NOTHING = "-";
const TUNNEL_TITLE = [
  "TUNNEL",
  "TYPE",
  "STATE",
  "FOR",
  "ENDPOINT",
  "HANDSHAKE",
  "FLOWS",
  "SENT",
  "RECEIVED",
];
const FLOW_TITLE = [
  "PROGRAM",
  "PID",
  "WAY",
  "BY",
  "PROTOCOL",
  "REMOTE",
  "SENT",
  "RECEIVED",
  "AGE",
];
const STATE_STYLES: Readonly<Record<string, Style>> = {
  up: "green",
  degraded: "yellow",
  connecting: "yellow",
  down: "red",
};
const WAY_STYLES: Readonly<Record<FlowView["way"], Style | undefined>> = {
  waiting: "dim",
  direct: undefined,
  tunnel: "green",
  drop: "red",
};

/** Everything about a client, its tunnels as a table. */
export function formatClientStatus(
  status: ClientStatus,
  { color }: ViewOptions,
): string {
  const { flows, tunnels } = status;
  const lines = [
    `sluice ${status.version}, process ${status.processId}, up ${
      wholeSeconds(status.uptimeMs)
    }, config ${status.config}`,
    `capture ${status.interface}; direct traffic leaves by ${
      egressText(status)
    }; kill switch ${status.killSwitch}`,
    `${countOf(status.rules, "rule")}; ${countOf(flows.total, "flow")}: ${
      formatCount(flows.tunnelled)
    } in tunnels, ${formatCount(flows.direct)} direct, ${
      formatCount(flows.dropped)
    } dropped, ${formatCount(flows.waiting)} waiting`,
  ];
  if (status.mode === "paused") {
    lines.push(styled(
      "PAUSED: everything goes direct; sluice resume goes on",
      "yellow",
      color,
    ));
  }
  for (const problem of status.problems) {
    lines.push(styled(`! ${problem}`, "yellow", color));
  }
  return lines.map((line) => line + "\n").join("") + "\n" +
    tunnelTable(tunnels, color) + reasons(tunnels) +
    countedLine("counted", status.counters) +
    countedLine("packets dropped", status.drops);
}

function countedLine(
  what: string,
  counts: Readonly<Record<string, number>>,
): string {
  const parts = Object.entries(counts).map(([name, count]) =>
    `${name} ${formatCount(count)}`
  );
  return parts.length > 0 ? `\n${what}: ${parts.join(", ")}\n` : "";
}

/** Flows as a table, those that moved last first. */
export function flowTable(
  flows: readonly FlowView[],
  { color, rows = Infinity }: ViewOptions & { readonly rows?: number },
): string {
  const sorted = [...flows].sort((a, b) => a.idleMs - b.idleMs);
  const shown = sorted.slice(0, rows);
  const table = formatTable([FLOW_TITLE, ...shown.map(flowRow)]);
  const hidden = flows.length - shown.length;
  return paint(
    table,
    (row) => WAY_STYLES[shown[row].way],
    color,
  ) + (hidden > 0 ? `and ${formatCount(hidden)} more\n` : "");
}

function flowRow(flow: FlowView): string[] {
  const { program } = flow;
  return [
    program?.name ?? NOTHING,
    program === undefined ? NOTHING : String(program.processId),
    flow.way === "tunnel" ? flow.tunnel ?? flow.way : flow.way,
    flow.reason === undefined ? flow.by : `${flow.by} (${flow.reason})`,
    flow.protocol,
    flow.name === undefined ? flow.remote : `${flow.remote} ${flow.name}`,
    formatBytes(flow.sentBytes),
    formatBytes(flow.receivedBytes),
    wholeSeconds(flow.ageMs),
  ];
}

function tunnelTable(tunnels: readonly TunnelView[], color: boolean): string {
  if (tunnels.length === 0) return "no tunnels: the config names none\n";
  const rows = tunnels.map((tunnel) => [
    tunnel.name,
    tunnel.type,
    tunnel.state,
    wholeSeconds(tunnel.stateMs),
    tunnel.endpoint ?? NOTHING,
    tunnel.handshakeMs === undefined ? NOTHING : formatAge(tunnel.handshakeMs),
    formatCount(tunnel.flows),
    formatBytes(tunnel.sentBytes),
    formatBytes(tunnel.receivedBytes),
  ]);
  return paint(
    formatTable([TUNNEL_TITLE, ...rows]),
    (row) => STATE_STYLES[tunnels[row].state],
    color,
  );
}

function reasons(tunnels: readonly TunnelView[]): string {
  return tunnels.filter(({ reason }) => reason !== undefined)
    .map(({ name, reason }) => `${name}: ${reason}\n`).join("");
}

/** Whole rows in a style: the title in bold, others as `styleOf` says. */
function paint(
  table: string,
  styleOf: (row: number) => Style | undefined,
  color: boolean,
): string {
  if (!color) return table;
  return table.trimEnd().split("\n").map((line, n) => {
    const style = n === 0 ? "bold" : styleOf(n - 1);
    return (style === undefined ? line : styled(line, style, true)) + "\n";
  }).join("");
}

function egressText({ egress4, egress6 }: ClientStatus): string {
  if (egress4 === egress6) return egress4 ?? "nothing: no default route";
  return `${egress4 ?? "nothing"} (IPv4), ${egress6 ?? "nothing"} (IPv6)`;
}

function countOf(count: number, what: string): string {
  return `${formatCount(count)} ${what}${count === 1 ? "" : "s"}`;
}

function wholeSeconds(milliseconds: number): string {
  return formatDuration(Math.max(0, Math.floor(milliseconds / 1000)) * 1000);
}
