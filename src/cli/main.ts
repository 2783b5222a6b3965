/**
 * The command line: finds the subcommand, runs it, turns what is thrown into a
 * message and an exit code. Only the subcommand that runs is loaded.
 */
import { Command, Option } from "@commander-js/extra-typings";
import type { Command as AnyCommand } from "commander";
import metadata from "../../deno.json" with { type: "json" };
import { reportError } from "./errors.ts";
import { isVerbose, LOG_LEVELS, type LogLevel, setupLog } from "./log.ts";
import { styled, wantsColor, writeError, writeOut } from "./output.ts";

/** A subcommand: its line in the help, and how to get it. */
interface Subcommand {
  readonly name: string;
  /** The heading that it stands under. */
  readonly group: string;
  readonly summary: string;
  readonly load: () => Promise<unknown>;
}

const GATEWAY = "Gateway:";
const CLIENT = "Split tunnel:";
const OTHERS = "Whole machine:";
const SYSTEM = "System:";
const KEYS = "Keys:";

const SUBCOMMANDS: readonly Subcommand[] = [
  {
    name: "server",
    group: GATEWAY,
    summary: "run a gateway for WireGuard and AmneziaWG clients",
    load: async () => (await import("./server.ts")).serverCommand(),
  },
  {
    name: "peer",
    group: GATEWAY,
    summary: "add, list, show and remove clients of a gateway",
    load: async () => (await import("./peer.ts")).peerCommand(),
  },
  {
    name: "client",
    group: CLIENT,
    summary: "send each program's traffic where a rule says",
    load: async () => (await import("./client.ts")).clientCommand(),
  },
  {
    name: "import",
    group: CLIENT,
    summary: "make a tunnel of the client from a .conf file",
    load: async () => (await import("./client_import.ts")).importCommand(),
  },
  {
    name: "rule",
    group: CLIENT,
    summary: "add, remove and list the rules of the client",
    load: async () => (await import("./client_rule.ts")).ruleCommand(),
  },
  {
    name: "status",
    group: CLIENT,
    summary: "show tunnels, kill switch and counters of the running client",
    load: async () => (await import("./client_status.ts")).statusCommand(),
  },
  {
    name: "flows",
    group: CLIENT,
    summary: "list living flows: program, way, rule, remote, bytes",
    load: async () => (await import("./client_status.ts")).flowsCommand(),
  },
  {
    name: "explain",
    group: CLIENT,
    summary: "say which rule decides about a program, and why",
    load: async () => (await import("./client_explain.ts")).explainCommand(),
  },
  {
    name: "tunnel",
    group: CLIENT,
    summary: "connect and disconnect tunnels of the running client",
    load: async () => (await import("./client_control.ts")).tunnelCommand(),
  },
  {
    name: "reload",
    group: CLIENT,
    summary: "have the running client read its config again",
    load: async () => (await import("./client_control.ts")).reloadCommand(),
  },
  {
    name: "pause",
    group: CLIENT,
    summary: "let everything go direct until sluice resume",
    load: async () => (await import("./client_control.ts")).pauseCommand(),
  },
  {
    name: "resume",
    group: CLIENT,
    summary: "end a pause: the rules hold again",
    load: async () => (await import("./client_control.ts")).resumeCommand(),
  },
  {
    name: "leaktest",
    group: CLIENT,
    summary: "find out whether anything leaves outside its tunnel",
    load: async () => (await import("./leaktest.ts")).leaktestCommand(),
  },
  {
    name: "connect",
    group: OTHERS,
    summary: "connect this machine to a gateway by a .conf file",
    load: async () => (await import("./connect.ts")).connectCommand(),
  },
  {
    name: "tun2socks",
    group: OTHERS,
    summary: "send what enters a TUN interface out by a proxy",
    load: async () => (await import("./tun2socks.ts")).tun2socksCommand(),
  },
  {
    name: "config",
    group: SYSTEM,
    summary: "check a config before it is used",
    load: async () => (await import("./config_check.ts")).configCommand(),
  },
  {
    name: "task",
    group: SYSTEM,
    summary: "have the system start sluice by itself",
    load: async () => (await import("./task.ts")).taskCommand(),
  },
  {
    name: "genkey",
    group: KEYS,
    summary: "make a private key",
    load: async () => (await import("./keys.ts")).genkeyCommand(),
  },
  {
    name: "pubkey",
    group: KEYS,
    summary: "make the public key of a private key",
    load: async () => (await import("./keys.ts")).pubkeyCommand(),
  },
  {
    name: "genpsk",
    group: KEYS,
    summary: "make a preshared key",
    load: async () => (await import("./keys.ts")).genpskCommand(),
  },
];

const EXAMPLES = `
Examples:
  sluice server                                 start a gateway; the first time it
                                                writes server.yaml with fresh keys
  sluice peer add phone --qr                    add a client and scan it
  sluice peer add laptop --conf laptop.conf     add a client as a file
  sluice connect laptop.conf                    be that client
  sluice import work.conf                       a tunnel for the split tunnel
  sluice rule add --process firefox --tunnel work
  sluice client                                 each program by its rule
  sluice tun2socks -x 192.0.2.7:1080 --default-route
                                                everything by a SOCKS5 proxy

sluice COMMAND --help tells more of each.`;

/**
 * Runs the program.
 * @param args what stands behind the program's name.
 * @returns the exit code: 0, 1 for a failure, 2 for wrong usage or a bad config.
 */
export async function main(args: readonly string[]): Promise<number> {
  try {
    const program = await buildProgram(args);
    if (args.length === 0) {
      program.outputHelp();
      return 0;
    }
    await program.parseAsync(args, { from: "user" });
    return 0;
  } catch (error) {
    return fail(error, args);
  }
}

async function buildProgram(args: readonly string[]): Promise<AnyCommand> {
  const program = new Command("sluice")
    .description("A VPN gateway and client in one program.")
    .version(metadata.version, "-V, --version", "print the version")
    .helpCommand("help [command]", "show the help of a command")
    .addOption(
      new Option("--log-level <level>", "how much to log").choices(LOG_LEVELS),
    )
    .addHelpText("after", EXAMPLES)
    .showHelpAfterError(
      "sluice --help shows what there is",
    ) as unknown as AnyCommand;
  program.hook("preAction", async (_program, action) => {
    const { logLevel } = action.optsWithGlobals() as { logLevel?: LogLevel };
    await setupLog({ level: logLevel ?? "info" });
  });
  const names = SUBCOMMANDS.map(({ name }) => name);
  const requested = args.find((arg) => names.includes(arg));
  for (const { name, group, summary, load } of SUBCOMMANDS) {
    const command = name === requested
      ? await load() as AnyCommand
      : new Command(name) as unknown as AnyCommand;
    program.addCommand(command.summary(summary).helpGroup(group));
  }
  settle(program);
  return program;
}

/**
 * For every command alike: errors are thrown, not exits; text goes where ours
 * goes; help names the options of the whole program too.
 */
function settle(command: AnyCommand): void {
  command.exitOverride();
  command.helpOption("-h, --help", "show this help");
  command.configureHelp({ showGlobalOptions: true });
  command.configureOutput({
    writeOut,
    writeErr: writeError,
    outputError: (text, write) => write(text.replace(/^error: /, errorLabel())),
  });
  for (const child of command.commands) settle(child);
}

function fail(error: unknown, args: readonly string[]): number {
  const { text, exitCode } = reportError(error);
  try {
    if (text !== "") {
      writeError(text.replaceAll(/^error: /gm, errorLabel()) + "\n");
    }
    if (
      isVerbose(requestedLevel(args)) && error instanceof Error && text !== ""
    ) {
      writeError(`${error.stack}\n`);
    }
  } catch {
    // Nobody reads standard error any more.
  }
  return exitCode;
}

/** The level as far as it can be told where parsing itself has failed. */
function requestedLevel(args: readonly string[]): LogLevel {
  const joined = args.find((arg) => arg.startsWith("--log-level="));
  const level = joined?.slice("--log-level=".length) ??
    args[args.indexOf("--log-level") + 1];
  return LOG_LEVELS.find((known) => known === level) ?? "info";
}

function errorLabel(): string {
  return styled("error:", "red", wantsColor("error")) + " ";
}
