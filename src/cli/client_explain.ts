/** `sluice explain`: which rule decides about a program, and why. */
import { Argument, Command, Option } from "@commander-js/extra-typings";
import {
  delimiter,
  join,
  resolve as resolvePath,
  sep as separator,
} from "node:path";
import { formatExplanation } from "../core/route/rules/format_explanation.ts";
import type { RuleProtocol } from "../core/route/rules/rule.ts";
import { formatAddress, parseAddress } from "../core/wire/address.ts";
import type {
  ExplainAnswer,
  ExplainedProgram,
} from "../control/client_port.ts";
import { resolveHost } from "../io/resolve_host.ts";
import { elevation } from "../io/platform.ts";
import { askClient, socketOption, type SocketOptions } from "./ask_client.ts";
import { ExitCode, UserError } from "./errors.ts";
import { writeOut } from "./output.ts";

type ExplainOptions = SocketOptions & {
  readonly protocol: RuleProtocol;
  readonly user?: string;
  readonly childOf: readonly string[];
  readonly json?: true;
};

/** A destination as it was typed. */
export interface TypedDestination {
  readonly host: string;
  readonly port: number | undefined;
}

/** A documentation address (RFC 5737): anywhere outside. */
const ANYWHERE = "192.0.2.1";
const DEFAULT_PORTS: Readonly<Record<RuleProtocol, number>> = {
  tcp: 443,
  udp: 443,
  icmp: 0,
};

/** `sluice explain`. */
export function explainCommand(): Command<
  [string, string | undefined],
  ExplainOptions
> {
  return new Command("explain")
    .description("say which rule decides about a program, and why")
    .addArgument(
      new Argument(
        "<program>",
        "number of a process that runs, or a program by name or path",
      ),
    )
    .addArgument(
      new Argument(
        "[destination]",
        "HOST or HOST:PORT, by name or address; anywhere where left out",
      ),
    )
    .addOption(
      new Option("--protocol <name>", "what it sends")
        .choices(["tcp", "udp", "icmp"] as const).default("tcp" as const),
    )
    .addOption(
      new Option("--user <name>", "whose program it is; yours by default"),
    )
    .addOption(
      new Option(
        "--child-of <program>",
        "a program that started it; given again, the one that started that",
      ).argParser(another).default([] as readonly string[], "none"),
    )
    .addOption(new Option("--json", "print JSON"))
    .addOption(socketOption())
    .addHelpText(
      "after",
      `
Every rule is shown down to the one that decides, with each of its conditions
and how it came out; then the verdict as the tunnels stand now, and the one that
there would be with its tunnel down. The answer comes from the running client: it
knows the tunnels' states and who started whom.

A name as destination is resolved here and judged as if the program had resolved
it: rules about domains hold for it.

Examples:
  ${elevation()}sluice explain firefox
  ${elevation()}sluice explain firefox example.org
  ${elevation()}sluice explain 4711 192.0.2.7:53 --protocol udp
  ${elevation()}sluice explain curl --child-of steam`,
    )
    .action(explain);
}

async function explain(
  program: string,
  destination: string | undefined,
  options: ExplainOptions,
): Promise<void> {
  const { protocol } = options;
  const place = await findPlace(destination ?? ANYWHERE, protocol);
  const question = {
    program: describeProgram(program, options),
    protocol,
    ...place,
  };
  const answer = await askClient({ verb: "explain", question }, options);
  writeOut(
    options.json
      ? JSON.stringify(answer, null, 2) + "\n"
      : formatExplainAnswer(answer),
  );
}

/** What is explained, and the explanation. */
export function formatExplainAnswer(answer: ExplainAnswer): string {
  const lines = [`program: ${answer.program}`];
  if (answer.ancestors.length > 0) {
    lines.push(`started by: ${answer.ancestors.join(", by ")}`);
  }
  lines.push(
    `destination: ${answer.destination}`,
    ...formatExplanation(answer.explanation),
  );
  return lines.map((line) => line + "\n").join("");
}

/** Reads a destination; undefined where it is none. */
export function parseDestination(text: string): TypedDestination | undefined {
  if (parseAddress(text) !== undefined) return { host: text, port: undefined };
  const bracketed = /^\[([^\]]+)\](?::(\d{1,5}))?$/.exec(text);
  const plain = /^([^\s:/[\]]+)(?::(\d{1,5}))?$/.exec(text);
  const [, host, port] = bracketed ?? plain ?? [];
  if (host === undefined || Number(port ?? 0) > 0xffff) return undefined;
  if (bracketed !== null && parseAddress(host) === undefined) return undefined;
  return { host, port: port === undefined ? undefined : Number(port) };
}

async function findPlace(
  text: string,
  protocol: RuleProtocol,
): Promise<{ address: string; port: number; name?: string }> {
  const destination = parseDestination(text);
  if (destination === undefined) {
    throw new UserError(
      `"${text}" is no destination`,
      "write HOST or HOST:PORT, such as example.org, 192.0.2.7:443 or [2001:db8::7]:443",
      ExitCode.Usage,
    );
  }
  const { host } = destination;
  const port = protocol === "icmp"
    ? 0
    : destination.port ?? DEFAULT_PORTS[protocol];
  if (parseAddress(host) !== undefined) return { address: host, port };
  try {
    const address = formatAddress(await resolveHost(host));
    return { address, port, name: host.replace(/\.$/, "") };
  } catch (cause) {
    throw new UserError(
      (cause as Error).message,
      "give an address instead of the name",
      ExitCode.Failure,
      { cause },
    );
  }
}

function describeProgram(
  text: string,
  { user, childOf }: ExplainOptions,
): ExplainedProgram {
  if (/^\d+$/.test(text)) {
    if (user === undefined && childOf.length === 0) {
      return { kind: "process", processId: Number(text) };
    }
    throw new UserError(
      "a running process has its user and its ancestors",
      "leave --user and --child-of out, or name a program instead",
      ExitCode.Usage,
    );
  }
  return {
    kind: "program",
    path: findProgram(text),
    user: user ?? currentUser(),
    ancestors: childOf.map(findProgram),
  };
}

/** The path of a program: as given, or where $PATH has its name. */
function findProgram(text: string): string {
  if (text.includes("/") || text.includes(separator)) return resolvePath(text);
  for (const folder of (Deno.env.get("PATH") ?? "").split(delimiter)) {
    const path = join(folder, text);
    // The system tells of the file itself, not of the link that was called.
    if (folder !== "" && isFile(path)) return Deno.realPathSync(path);
  }
  return text;
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

/** Whoever typed the command, behind `sudo` too. */
function currentUser(): string {
  const name = Deno.env.get("SUDO_USER") ?? Deno.env.get("USER");
  if (name !== undefined) return name;
  const user = Deno.uid();
  if (user !== null) return user === 0 ? "root" : String(user);
  return `${Deno.env.get("USERDOMAIN")}\\${Deno.env.get("USERNAME")}`;
}

function another(text: string, before: readonly string[]): readonly string[] {
  return [...before, text];
}
