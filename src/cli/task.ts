/** `sluice task`: the system starts us by itself, and again when we fail. */
import { Command, Option } from "@commander-js/extra-typings";
import { dirname, resolve } from "node:path";
import { configExists } from "../config/config_text.ts";
import { loadClientConfig } from "../config/load_client_config.ts";
import { loadServerConfig } from "../config/load_server_config.ts";
import { openPlatform, type Platform } from "../io/platform.ts";
import {
  type StartupTask,
  StartupTaskError,
  type StartupTaskState,
} from "../io/ports/startup_tasks.ts";
import { DEFAULT_CLIENT_CONFIG } from "./client_config_path.ts";
import { resetClient } from "./client_reset.ts";
import { DEFAULT_CONFIG } from "./config_file.ts";
import { ExitCode, UserError } from "./errors.ts";
import { writeError, writeOut } from "./output.ts";
import { ownProgram, temporaryFolderOf } from "./own_program.ts";

const MODES = ["server", "client"] as const;
const MOMENTS = ["boot", "logon"] as const;

type Mode = typeof MODES[number];

const CONFIGS: Record<Mode, string> = {
  server: DEFAULT_CONFIG,
  client: DEFAULT_CLIENT_CONFIG,
};
const DESCRIPTIONS: Record<Mode, string> = {
  server: "sluice server: VPN gateway",
  client: "sluice client: per-process split tunnel",
};

interface InstallOptions {
  readonly mode: Mode;
  readonly at: typeof MOMENTS[number];
  readonly config?: string;
  readonly start?: true;
  readonly print?: true;
}

/** `sluice task`. */
export function taskCommand(): Command {
  const command = new Command("task")
    .description("have the system start sluice: a scheduled task, a service")
    .addHelpText(
      "after",
      `
On Windows it is a task of the Task Scheduler with highest privileges, without a
time limit, on battery too, started again a minute after a failure. On Linux it
is a hardened service of systemd, started again after five seconds. The file of
the program is used where it lies: moving it needs another install.

Examples:
  sluice task install --mode server -c /etc/sluice/server.yaml --start
  sluice task install --mode client --at logon       on Windows
  sluice task install --mode server --print          only show what it would be
  sluice task status
  sluice task uninstall --mode server`,
    );
  command.command("install")
    .description("install it, or bring what is installed up to date")
    .addOption(modeOption().makeOptionMandatory())
    .addOption(
      new Option("--at <moment>", "when it is started")
        .choices(MOMENTS).default("boot" as const),
    )
    .option(
      "-c, --config <file>",
      "the config; server.yaml or client.yaml where left out",
    )
    .option("--start", "start it now, too")
    .option("--print", "only print what would be given to the system")
    .action(install);
  command.command("uninstall")
    .description("end it and take it away")
    .addOption(modeOption().makeOptionMandatory())
    .action(uninstall);
  command.command("status")
    .description("say what is installed, and whether it runs")
    .addOption(modeOption())
    .action(status);
  return command as unknown as Command;
}

function modeOption() {
  return new Option("--mode <mode>", "what it runs").choices(MODES);
}

async function install(options: InstallOptions): Promise<void> {
  const { mode, at } = options;
  const config = resolve(options.config ?? CONFIGS[mode]);
  await requireConfig(mode, config);
  const { program, args } = ownProgram();
  const task: StartupTask = {
    name: taskName(mode),
    description: DESCRIPTIONS[mode],
    program,
    arguments: [...args, mode, "-c", config],
    directory: dirname(config),
    at,
    mode,
  };
  using platform = openPlatform();
  const tasks = platform.openStartupTasks();
  if (options.print) return writeOut(tasks.format(task));
  for (const path of [program, config]) {
    const folder = temporaryFolderOf(path);
    if (folder === undefined) continue;
    writeError(
      `warning: ${path} lies in a temporary folder, ${folder}: what the system ` +
        `starts should stay; move it and install again\n`,
    );
  }
  for (const path of [program, ...args.slice(-1), config]) {
    const open = tasks.writableByOthers(path);
    if (open === undefined) continue;
    const what = open === path ? path : `${open}, where ${path} lies,`;
    writeError(
      `warning: ${what} may be written by others than administrators: whoever ` +
        `changes it gets this machine\n`,
    );
  }
  const { change, place, notes } = await tasks.install(task).catch(explain);
  writeOut(`${place}: ${CHANGES[change]}\n`);
  for (const note of notes) writeOut(`${note}\n`);
  if (options.start) {
    await tasks.start(task.name).catch(explain);
    writeOut("started\n");
  }
}

const CHANGES = {
  created: "installed",
  replaced: "brought up to date",
  unchanged: "installed already, nothing changed",
} as const;

async function uninstall({ mode }: { readonly mode: Mode }): Promise<void> {
  using platform = openPlatform();
  const tasks = platform.openStartupTasks();
  const removed = await tasks.uninstall(taskName(mode)).catch(explain);
  writeOut(
    removed
      ? `${taskName(mode)}: removed\n`
      : `${taskName(mode)}: there is none\n`,
  );
  if (removed) await undoLeft(platform, mode);
}

/** Windows ends a task without a word to it, and nobody starts that would undo what it left. */
async function undoLeft(platform: Platform, mode: Mode): Promise<void> {
  if (mode === "client") return await resetClient();
  using network = platform.openHostNetwork(platform.openJournal());
  for (const line of network.recover()) writeOut(`${line}\n`);
}

async function status(options: { readonly mode?: Mode }): Promise<void> {
  using platform = openPlatform();
  const tasks = platform.openStartupTasks();
  const modes = options.mode === undefined ? MODES : [options.mode];
  for (const mode of modes) {
    const state = await tasks.status(taskName(mode)).catch(explain);
    writeOut(describeState(taskName(mode), state));
  }
}

function describeState(name: string, state: StartupTaskState): string {
  if (state.kind === "absent") return `${name}: not installed\n`;
  const words = [
    say(state.enabled, "enabled", "disabled"),
    say(state.running, "running", "not running"),
  ].filter((word) => word !== undefined);
  const told = words.length === 0 ? "installed" : words.join(", ");
  return `${name}: ${told}\n  ${state.place}\n  ${state.command}\n`;
}

function say(
  truth: boolean | undefined,
  yes: string,
  no: string,
): string | undefined {
  return truth === undefined ? undefined : truth ? yes : no;
}

/** Something that fails at each start is better told now. */
async function requireConfig(mode: Mode, path: string): Promise<void> {
  if (!await configExists(path)) {
    throw new UserError(
      `there is no config ${path}`,
      `name one with -c FILE; sluice ${mode} ${
        mode === "server" ? "" : "--init "
      }makes one`,
      ExitCode.Usage,
    );
  }
  await (mode === "server" ? loadServerConfig(path) : loadClientConfig(path));
}

function taskName(mode: Mode): string {
  return `sluice-${mode}`;
}

function explain(error: unknown): never {
  if (!(error instanceof StartupTaskError)) throw error;
  throw new UserError(error.message, HINTS[error.problem], ExitCode.Failure, {
    cause: error,
  });
}

const HINTS: Record<StartupTaskError["problem"], string> = {
  denied: "only an administrator may: sudo sluice task …, or on Windows a " +
    "terminal opened as administrator",
  unsupported:
    "sluice task install --print shows what to give to a system of another kind",
  failed: "sluice task status shows what the system has",
};
