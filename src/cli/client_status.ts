/** `sluice status` and `sluice flows`: how the running client stands. */
import { Command, Option } from "@commander-js/extra-typings";
import type { FlowView } from "../control/client_port.ts";
import { elevation } from "../io/platform.ts";
import { askClient, socketOption, type SocketOptions } from "./ask_client.ts";
import { flowTable, formatClientStatus } from "./client_view.ts";
import { isTerminal, terminalRows, wantsColor, writeOut } from "./output.ts";

type StatusOptions = SocketOptions & { readonly json?: true };
type FlowOptions = StatusOptions & {
  readonly watch?: true;
  readonly process?: string;
  readonly tunnel?: string;
};

const WATCH_INTERVAL_MS = 1000;
/** Home, and clear from there (ECMA-48). */
const CLEAR_SCREEN = "\x1b[H\x1b[J";
/** Title, prompt and the line that counts the rest. */
const OTHER_ROWS = 3;

/** `sluice status`. */
export function statusCommand(): Command<[], StatusOptions> {
  return new Command("status")
    .description("show tunnels, kill switch and counters of the running client")
    .addOption(new Option("--json", "print JSON"))
    .addOption(socketOption())
    .addHelpText(
      "after",
      `
A tunnel is up, degraded (it carries, but its health checks fail), connecting or
down. What happens to flows of a tunnel that is not up is its rules' fallback.

Exit code: 0 where a client runs, 1 where none does.

Examples:
  ${elevation()}sluice status
  ${elevation()}sluice status --json | jq '.tunnels[] | {name, state}'`,
    )
    .action(async (options) => {
      const status = await askClient({ verb: "status" }, options);
      writeOut(
        options.json
          ? JSON.stringify(status, null, 2) + "\n"
          : formatClientStatus(status, { color: wantsColor("out") }),
      );
    });
}

/** `sluice flows`. */
export function flowsCommand(): Command<[], FlowOptions> {
  return new Command("flows")
    .description("list living flows: program, way, rule, remote, bytes")
    .addOption(new Option("-w, --watch", "show them anew each second"))
    .addOption(
      new Option(
        "--json",
        "print JSON: an array, with --watch one in a line each second",
      ),
    )
    .addOption(
      new Option(
        "--process <name>",
        "only those of programs of that file name",
      ),
    )
    .addOption(new Option("--tunnel <name>", "only those in that tunnel"))
    .addOption(socketOption())
    .addHelpText(
      "after",
      `
WAY is the tunnel's name, direct, drop, or waiting while its program is being
looked up; BY is the rule that decided (sluice rule list shows them by number),
default, or what else did. Those that moved last stand first.

Examples:
  ${elevation()}sluice flows --watch
  ${elevation()}sluice flows --process firefox
  ${elevation()}sluice flows --json | jq -r '.[] | [.program.name, .tunnel, .remote] | @tsv'`,
    )
    .action(flows);
}

async function flows(options: FlowOptions): Promise<void> {
  do {
    const all = await askClient({ verb: "flows" }, options);
    show(all.filter((flow) => isAskedFor(flow, options)), options);
    if (options.watch) {
      await new Promise((resolve) => setTimeout(resolve, WATCH_INTERVAL_MS));
    }
  } while (options.watch);
}

/** Whether a flow is among those that the options name. */
export function isAskedFor(
  flow: FlowView,
  { process, tunnel }: Pick<FlowOptions, "process" | "tunnel">,
): boolean {
  return (process === undefined || flow.program?.name === process) &&
    (tunnel === undefined || flow.tunnel === tunnel);
}

function show(list: readonly FlowView[], { json, watch }: FlowOptions): void {
  if (json) {
    writeOut(JSON.stringify(list, null, watch ? 0 : 2) + "\n");
    return;
  }
  const live = watch && isTerminal("out");
  const table = flowTable(list, {
    color: wantsColor("out"),
    ...(live ? { rows: Math.max(1, terminalRows() - OTHER_ROWS) } : {}),
  });
  writeOut(live ? CLEAR_SCREEN + table : watch ? `${table}\n` : table);
}
