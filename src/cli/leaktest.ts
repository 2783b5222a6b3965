/** `sluice leaktest`: what leaves this machine, as a peer outside sees it. */
import { Argument, Command, Option } from "@commander-js/extra-typings";
import { elevation, openPlatform } from "../io/platform.ts";
import { socketOption, type SocketOptions } from "./ask_client.ts";
import { EndingWatch } from "./ending.ts";
import { ExitCode, UserError } from "./errors.ts";
import { LeakPeer } from "./leaktest_peer.ts";
import { runProber } from "./leaktest_prober.ts";
import { PROBER_FLAG } from "./leaktest_programs.ts";
import { runLeakTest } from "./leaktest_run.ts";
import { writeError, writeOut } from "./output.ts";

type LeakOptions = SocketOptions & {
  readonly serve?: true;
  readonly listen: readonly string[];
  readonly port: string;
  readonly dnsPort: string;
  readonly as: readonly string[];
  readonly direct: readonly string[];
  readonly prober?: true;
  readonly json?: true;
};

const DEFAULT_PORT = 7737;
const DNS_PORT = 53;

/** `sluice leaktest`. */
export function leaktestCommand(): Command<[string[]], LeakOptions> {
  return new Command("leaktest")
    .description("find out whether anything leaves outside its tunnel")
    .addArgument(
      new Argument(
        "[peer...]",
        "HOST that runs sluice leaktest --serve; one address of each IP version",
      ),
    )
    .addOption(
      new Option(
        "--as <name>",
        "probe as a program of that file name; may be given again",
      ).argParser(another).default([] as readonly string[], "none"),
    )
    .addOption(
      new Option(
        "--direct <address>",
        "address that direct traffic comes from, where it can't be found out; may be given again",
      ).argParser(another).default([] as readonly string[], "found out"),
    )
    .addOption(new Option("--serve", "be the peer: answer probes"))
    .addOption(
      new Option(
        "--listen <address>",
        "with --serve: where; may be given again",
      )
        .argParser(another).default([] as readonly string[], "everywhere"),
    )
    .addOption(
      new Option("--port <port>", "UDP and TCP port of the peer")
        .default(String(DEFAULT_PORT)),
    )
    .addOption(
      new Option("--dns-port <port>", "UDP port of the peer for DNS probes")
        .default(String(DNS_PORT)),
    )
    .addOption(new Option("--json", "print JSON"))
    .addOption(socketOption())
    .addOption(new Option(PROBER_FLAG).hideHelp())
    .addHelpText(
      "after",
      `
On a host outside that no tunnel leads to:     ${elevation()}sluice leaktest --serve
Here, where sluice client runs:                ${elevation()}sluice leaktest PEER --as firefox

Each program (a copy of this one under that name, and one of a name that no rule
should know) sends TCP, UDP, a fragmented datagram, DNS and ping. The running
client is asked where each has to go; the peer tells what arrived and from where.
A probe has leaked where it arrived although it was to be dropped, or where it
was to go through a tunnel and came from the address of direct traffic.

What it does not tell: rules about paths, folders and users see this copy, not
the program of that name. A DNS question that arrives nowhere may have been
answered by the tunnel's own resolver. A tunnel that ends behind the same
address as direct traffic looks like a leak.

Exit code: 0 where nothing leaked, 1 where something did.`,
    )
    .action(async (peers, options) => {
      if (options.prober) await runProber();
      else if (options.serve) await serve(options);
      else {
        await runLeakTest({
          ...options,
          peers,
          port: readPort("--port", options.port),
          dnsPort: readPort("--dns-port", options.dnsPort),
        });
      }
    });
}

function another(text: string, before: readonly string[]): readonly string[] {
  return [...before, text];
}

async function serve(options: LeakOptions): Promise<void> {
  using ending = new EndingWatch();
  using platform = openPlatform();
  using pings = platform.openEchoListener();
  const addresses = options.listen.length > 0
    ? options.listen
    : ["0.0.0.0", "::"];
  const port = readPort("--port", options.port);
  using peer = new LeakPeer({
    addresses,
    port,
    dnsPort: readPort("--dns-port", options.dnsPort),
    pings,
    onArrival: (how, { run, number }, source) =>
      writeOut(`${how} probe ${number} of ${run} from ${source}\n`),
    onRefused: (what, reason) =>
      writeError(`warning: no ${what}: ${reason}; such probes are lost\n`),
  });
  if (pings === undefined) {
    writeError("warning: pings can't be seen without root; they are lost\n");
  }
  writeError(
    `leak test peer at ${
      addresses.join(" and ")
    }, port ${peer.port}; Ctrl+C ends it\n`,
  );
  await ending.ended;
}

function readPort(flag: string, text: string): number {
  if (/^\d{1,5}$/.test(text) && Number(text) > 0 && Number(text) <= 0xffff) {
    return Number(text);
  }
  throw new UserError(
    `${flag}: "${text}" is no port`,
    "write a number from 1 to 65535",
    ExitCode.Usage,
  );
}
