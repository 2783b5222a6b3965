/** `sluice config check`: is a config right, before anything is started. */
import { Argument, Command, Option } from "@commander-js/extra-typings";
import { configSections, readConfigText } from "../config/config_text.ts";
import { loadClientConfig } from "../config/load_client_config.ts";
import { loadServerConfig } from "../config/load_server_config.ts";
import { printWarnings } from "./config_file.ts";
import { writeOut } from "./output.ts";

const MODES = ["server", "client"] as const;

type Mode = typeof MODES[number];

/** Sections that only the client's config has. */
const CLIENT_SECTIONS = ["tunnels", "rules", "killSwitch", "capture"];

/** `sluice config`. */
export function configCommand(): Command {
  const command = new Command("config")
    .description("look after configs of the server and the client");
  command.command("check")
    .description("say whether a config is right, with line and column")
    .addArgument(new Argument("<file>", "a server.yaml or client.yaml"))
    .addOption(
      new Option("--mode <mode>", "whose it is; by its sections if left out")
        .choices(MODES),
    )
    .addHelpText(
      "after",
      `
Nothing is started and nothing changed. The exit code is 2 where it is wrong.

Examples:
  sluice config check server.yaml
  sluice config check /etc/sluice/client.yaml`,
    )
    .action(check);
  return command as unknown as Command;
}

async function check(
  file: string,
  options: { readonly mode?: Mode },
): Promise<void> {
  const mode = options.mode ?? modeOf(await readConfigText(file));
  const { warnings } = mode === "server"
    ? await loadServerConfig(file)
    : await loadClientConfig(file);
  printWarnings(warnings);
  writeOut(`${file}: right, for sluice ${mode}\n`);
}

/** Where nothing tells it is the server's. */
function modeOf(text: string): Mode {
  const isClient = configSections(text)
    .some((name) => CLIENT_SECTIONS.includes(name));
  return isClient ? "client" : "server";
}
