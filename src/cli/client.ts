/** `sluice client`: the split tunnel, from its config file to its end. */
import { Command, Option } from "@commander-js/extra-typings";
import template from "../../config/client.yaml" with { type: "text" };
import { writePrivateFile } from "../config/atomic_write.ts";
import { configExists } from "../config/config_text.ts";
import {
  loadClientConfig,
  type LoadedClientConfig,
} from "../config/load_client_config.ts";
import { askControl } from "../control/control_client.ts";
import { closeFile, elevation } from "../io/platform.ts";
import { clientSocket } from "./ask_client.ts";
import { signalsHelp } from "./attend.ts";
import { DEFAULT_CLIENT_CONFIG } from "./client_config_path.ts";
import { resetClient } from "./client_reset.ts";
import { attendedClient, formatClientLine } from "./client_statistics.ts";
import { ExitCode, systemReason, UserError } from "./errors.ts";
import { logger, type LogLevel } from "./log.ts";
import { LongRun } from "./long_run.ts";
import { writeError } from "./output.ts";
import { RunningClient } from "./running_client.ts";
import { socketsWanted } from "./split_tunnel_setup.ts";

type ClientOptions = {
  readonly config: string;
  readonly init?: true;
  readonly reset?: true;
};

const SCHEMA_COMMENT = /^# yaml-language-server:.*\n#\n/;

/** `sluice client`. */
export function clientCommand(): Command<[], ClientOptions> {
  return new Command("client")
    .description("send each program's traffic where a rule says")
    .addOption(
      new Option("-c, --config <file>", "tunnels and rules")
        .default(DEFAULT_CLIENT_CONFIG),
    )
    .addOption(new Option("--init", "write an example config and end"))
    .addOption(
      new Option(
        "--reset",
        "remove what a client that was killed has left, a kill switch too, and end",
      ),
    )
    .addHelpText(
      "after",
      `
All traffic of this machine goes by an interface of sluice's: for each flow the
program that it belongs to is looked up, the first rule that matches decides, and
it leaves through a tunnel, directly, or not at all. The system's own routes stay
as they are, beside ours. Ctrl+C ends it and undoes everything.

With the kill switch, which is on unless the config says otherwise, nothing
leaves past the rules while it runs; with killSwitch.persist neither after it was
killed, until it is started again or --reset lifts it.

Connections that others open to this machine get answers while it runs at the
ports of killSwitch.allowInbound (22, for SSH, unless the config says otherwise),
and from the networks that it is attached to with killSwitch.allowLan.

While it runs, from another terminal: sluice status, flows, explain, tunnel,
rule, reload, pause, resume. Changes of the config are taken at once.

${signalsHelp()}
Examples:
  sluice import work.conf             make a config from a .conf file
  sluice client --init                or begin with an example
  ${elevation()}sluice client
  ${elevation()}sluice client -c /etc/sluice/client.yaml --log-level debug
  ${elevation()}sluice client --reset`,
    )
    .action(async ({ config, init, reset }, command) => {
      const { logLevel } = command.optsWithGlobals() as { logLevel?: LogLevel };
      if (init) await writeExample(config);
      else if (reset) await resetClient();
      else await runClient(config, logLevel);
    });
}

async function writeExample(path: string): Promise<void> {
  try {
    const text = template.replace(SCHEMA_COMMENT, "");
    await writePrivateFile(path, text, { existing: "never", closeFile });
  } catch (cause) {
    throw new UserError(
      `can't write ${path}: ${systemReason(cause)}`,
      "name another file with -c FILE; nothing was changed",
      ExitCode.Failure,
      { cause },
    );
  }
  writeError(
    `made ${path}, an example: name your tunnels and rules there, then\n` +
      `  ${elevation()}sluice client -c ${path}\n`,
  );
}

async function runClient(path: string, logLevel?: LogLevel): Promise<void> {
  const loaded = await load(path);
  const level = logLevel ?? loaded.config.log.level;
  using run = await LongRun.begin({
    command: "client",
    level,
    format: formatClientLine,
    warnings: loaded.warnings,
  });
  const { platform, ending } = run;
  run.requireTun();
  await refuseSecond(loaded);
  const openFiles = platform.raiseOpenFileLimit();
  const { journal, network } = run.openNetwork();
  await using client = await run.start(() =>
    RunningClient.start({
      loaded,
      platform,
      network,
      journal,
      trace: level === "trace",
      onFailure: (message) => ending.fail(message),
    })
  );
  // Whoever reads that it is up may ask for the counters at once.
  const attending = run.attend(attendedClient(client));
  logStart(loaded, client);
  logRoom(loaded, openFiles);
  await attending;
  client.expectEnd();
}

async function load(path: string): Promise<LoadedClientConfig> {
  if (await configExists(path)) return await loadClientConfig(path);
  throw new UserError(
    `there is no config ${path}`,
    "make one: sluice import FILE.conf, or sluice client --init for an example; " +
      "-c FILE names another",
    ExitCode.Usage,
  );
}

async function refuseSecond({ config }: LoadedClientConfig): Promise<void> {
  const reply = await askControl(clientSocket(config.controlSocket), {
    verb: "status",
  });
  if (reply.kind === "absent") return;
  throw new UserError(
    "a client runs already",
    "sluice status shows it; end it first",
  );
}

function logStart(
  { config, path }: LoadedClientConfig,
  client: RunningClient,
): void {
  const log = logger("Core");
  const { egress4, egress6, killSwitch } = client.status();
  log.info(
    "client up: {tunnels} tunnels, {rules} rules of {path}; capture {interface}; direct by {egress}",
    {
      tunnels: config.tunnels.length,
      rules: config.rules.rules.length,
      path,
      interface: client.engine.interfaceName,
      egress:
        [...new Set([egress4, egress6])].filter((name) => name !== undefined)
          .join(" and ") || "nothing",
    },
  );
  log.info("kill switch: {state}", {
    state: killSwitch === "off"
      ? "off"
      : config.killSwitch.persist
      ? "on, and stays when the client is killed"
      : "on",
  });
}

function logRoom({ config }: LoadedClientConfig, openFiles: number): void {
  const wanted = socketsWanted(config.capture);
  if (openFiles >= wanted) return;
  logger("Core").warn(
    "this process may open {openFiles} files, {wanted} sockets are allowed by " +
      "capture.maxFlows: flows beyond are refused",
    { openFiles, wanted },
  );
}
