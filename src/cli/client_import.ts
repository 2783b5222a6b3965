/** `sluice import`: a tunnel of a client.yaml from a .conf file. */
import { Argument, Command, Option } from "@commander-js/extra-typings";
import { writePrivateFile } from "../config/atomic_write.ts";
import { configExists } from "../config/config_text.ts";
import {
  editClientConfig,
  withRule,
  withTunnel,
} from "../config/edit_client_config.ts";
import {
  importConf,
  type ImportedConf,
  tunnelNameOf,
} from "../config/import_conf.ts";
import { confReader, parseClientConfig } from "../config/load_client_config.ts";
import {
  clientConfigOption,
  type ConfigOptions,
  findClientConfig,
} from "./client_config_path.ts";
import { printWarnings } from "./config_file.ts";
import { ruleText } from "./client_rule_text.ts";
import { closeFile } from "../io/platform.ts";
import { ExitCode, systemReason, UserError } from "./errors.ts";
import { writeError } from "./output.ts";
import { readConf } from "./read_conf.ts";

type ImportOptions = ConfigOptions & { readonly name?: string };

/** `sluice import`. */
export function importCommand(): Command<[string], ImportOptions> {
  return new Command("import")
    .description("make a tunnel of the client from a .conf file")
    .addArgument(
      new Argument("<file>", "a .conf of WireGuard, AmneziaWG or WireSock"),
    )
    .addOption(
      new Option(
        "--name <name>",
        "the tunnel's name; the file's where left out",
      ),
    )
    .addOption(clientConfigOption())
    .addHelpText(
      "after",
      `
The tunnel is added to the config, with the keys of the file in it, and rules at
the end that do what AllowedIPs and WireSock's AllowedApps, DisallowedApps,
DisallowedIPs and the like ask for. Where there is no config one is made. The
.conf itself is not needed any more.

Examples:
  sluice import ~/work.conf
  sluice import vpn.conf --name home -c /etc/sluice/client.yaml`,
    )
    .action(runImport);
}

async function runImport(file: string, options: ImportOptions): Promise<void> {
  const path = await findClientConfig(options);
  const name = options.name ?? tunnelNameOf(file);
  const imported = importConf(await readConf(file), { file, name });
  const made = !await configExists(path);
  if (made) await create(path, imported);
  else await addTo(path, imported, name);
  printWarnings(imported.warnings);
  writeError(
    `${made ? "made" : "changed"} ${path}: tunnel ${name}${
      imported.rules.map((rule) =>
        `\n  rule: ${ruleText(rule)}: ${rule.tunnel}`
      ).join("")
    }\n`,
  );
  if (imported.default === name) {
    writeError(
      made
        ? `everything else goes through ${name}: default: ${name}\n`
        : `the file would send everything through it: set default: ${name} in ${path} for that\n`,
    );
  }
}

async function create(path: string, { text }: ImportedConf): Promise<void> {
  parseClientConfig(text, { file: path, readFile: confReader(path) });
  try {
    await writePrivateFile(path, text, { existing: "never", closeFile });
  } catch (cause) {
    throw new UserError(
      `can't write ${path}: ${systemReason(cause)}`,
      "name another file with -c; nothing was changed",
      ExitCode.Failure,
      { cause },
    );
  }
}

async function addTo(
  path: string,
  { tunnel, rules }: ImportedConf,
  name: string,
): Promise<void> {
  await editClientConfig(path, ({ text, config }) => {
    if (config.tunnels.some((other) => other.name === name)) {
      throw new UserError(
        `${path} has a tunnel "${name}" already`,
        "give this one another name with --name",
        ExitCode.Usage,
      );
    }
    return {
      text: rules.reduce(
        (before, rule) => withRule(before, rule),
        withTunnel(text, tunnel),
      ),
      result: undefined,
    };
  }, { closeFile });
}
