/** `sluice rule add|remove|list`: the rules in a client.yaml. */
import { Argument, Command, Option } from "@commander-js/extra-typings";
import { configExists } from "../config/config_text.ts";
import {
  editClientConfig,
  type ItemEntry,
  withoutRule,
  withRule,
} from "../config/edit_client_config.ts";
import {
  loadClientConfig,
  type LoadedClientConfig,
} from "../config/load_client_config.ts";
import {
  clientConfigOption,
  type ConfigOptions,
  findClientConfig,
} from "./client_config_path.ts";
import {
  ruleEntry,
  type RuleFlags,
  ruleTable,
  ruleText,
} from "./client_rule_text.ts";
import { closeFile } from "../io/platform.ts";
import { ExitCode, UserError } from "./errors.ts";
import { writeError, writeOut } from "./output.ts";

type AddOptions = ConfigOptions & RuleFlags & { readonly at?: string };

/** `sluice rule`. */
export function ruleCommand(): Command {
  return new Command("rule")
    .description("add, remove and list the rules of the client")
    .addHelpText(
      "after",
      `
The first rule that matches decides. The file is changed in place, comments stay;
nothing is written where the result would be no good config. A running client
takes the change by itself, and flows whose verdict stays the same live on.

Examples:
  sluice rule list
  sluice rule add --process firefox --children --tunnel work
  sluice rule add --destination '*.example.org' --tunnel home --fallback allowDirect --at 1
  sluice rule remove 2`,
    )
    .addCommand(addCommand())
    .addCommand(removeCommand())
    .addCommand(listCommand());
}

function addCommand() {
  return new Command("add")
    .description("add a rule")
    .addOption(
      new Option("--tunnel <name>", "where it goes: a tunnel, direct or drop")
        .makeOptionMandatory(),
    )
    .addOption(
      new Option("--fallback <what>", "where its tunnel is down")
        .choices(["block", "allowDirect", "nextRule", "drop"]),
    )
    .addOption(several("--process <name>", "file name of the program"))
    .addOption(several("--path <pattern>", "path of the program"))
    .addOption(several("--directory <folder>", "folder of the program"))
    .addOption(new Option("--children", "also what such a program starts"))
    .addOption(several("--user <name>", "who runs the program"))
    .addOption(
      several("--destination <place>", "address, prefix, name or *.NAME"),
    )
    .addOption(several("--port <port>", "port or range of the destination"))
    .addOption(several("--protocol <name>", "tcp, udp or icmp"))
    .addOption(
      new Option("--at <number>", "its place; at the end where left out"),
    )
    .addOption(clientConfigOption())
    .addHelpText(
      "after",
      `
Values of one option are alternatives, different options must all hold. Without
any, the rule is about everything.

Fallback: block drops while the tunnel is down (this is so where nothing is
said), allowDirect goes without it, nextRule asks the rules below, drop drops
also while it is up.

Examples:
  sluice rule add --process steam --children --tunnel direct
  sluice rule add --process '*chrome*' --process firefox --tunnel work
  sluice rule add --destination 10.20.0.0/16 --port 443 --protocol tcp --tunnel office
  sluice rule add --directory /opt/games --protocol udp --tunnel direct --at 1`,
    )
    .action(add);
}

async function add(options: AddOptions): Promise<void> {
  const path = await existingConfig(options);
  const entry = ruleEntry(options);
  const place = await editClientConfig(path, ({ text, config }) => {
    const count = config.rules.rules.length;
    const index = options.at === undefined
      ? count
      : readNumber(options.at, count + 1) - 1;
    return {
      text: withRule(text, entry, index === count ? undefined : index),
      result: index + 1,
    };
  }, { closeFile });
  writeError(`added rule ${place} to ${path}: ${ruleText(entry)}\n`);
}

function removeCommand() {
  return new Command("remove")
    .description("remove a rule")
    .addArgument(new Argument("<number>", "its number in sluice rule list"))
    .addOption(clientConfigOption())
    .action(async (number, options) => {
      const path = await existingConfig(options);
      const rule = await editClientConfig(path, (loaded) => {
        const rules = rulesOf(loaded);
        const index = readNumber(number, rules.length) - 1;
        return {
          text: withoutRule(loaded.text, index) ?? loaded.text,
          result: rules[index],
        };
      }, { closeFile });
      writeError(`removed rule ${number} from ${path}: ${ruleText(rule)}\n`);
    });
}

function listCommand() {
  return new Command("list")
    .description("list the rules in their order")
    .addOption(new Option("--json", "print JSON"))
    .addOption(clientConfigOption())
    .action(async ({ json, ...options }) => {
      const loaded = await loadClientConfig(await existingConfig(options));
      const rules = rulesOf(loaded);
      const otherwise = loaded.document.toJS().default;
      writeOut(
        json
          ? JSON.stringify({ rules, default: otherwise }, null, 2) + "\n"
          : ruleTable(rules, otherwise),
      );
    });
}

/** The rules as they were written. */
function rulesOf({ document }: LoadedClientConfig): readonly ItemEntry[] {
  return document.toJS().rules ?? [];
}

async function existingConfig(options: ConfigOptions): Promise<string> {
  const path = await findClientConfig(options);
  if (await configExists(path)) return path;
  throw new UserError(
    `there is no config ${path}`,
    "sluice client --init makes one; -c FILE names another",
    ExitCode.Usage,
  );
}

function readNumber(text: string, most: number): number {
  const number = /^\d{1,6}$/.test(text) ? Number(text) : 0;
  if (number >= 1 && number <= most) return number;
  throw new UserError(
    `there is no rule ${text}`,
    most === 0 ? "there are none at all" : `write a number from 1 to ${most}`,
    ExitCode.Usage,
  );
}

/** An option that may be given again; its values are alternatives. */
function several<Flags extends string>(flags: Flags, description: string) {
  return new Option(flags, `${description}; may be given again`)
    .argParser(another).default([] as readonly string[], "any");
}

function another(text: string, before: readonly string[]): readonly string[] {
  return [...before, text];
}
