/** `sluice tun2socks`: a TUN interface whose traffic goes out by a proxy. */
import { Command, Option } from "@commander-js/extra-typings";
import { dropReasonText } from "../core/columns/drop_reason.ts";
import { formatEndpoint, formatPrefix } from "../core/wire/address.ts";
import { formatProxyUrl } from "../config/proxy_url.ts";
import { resolveOutbound } from "../io/outbound/resolve_outbound.ts";
import type { DialerSetup, NetworkWarning, ProxyPlace } from "../io/ports.ts";
import { signalsHelp } from "./attend.ts";
import type { EndingWatch } from "./ending.ts";
import { ExitCode, UserError } from "./errors.ts";
import { logger, type LogLevel } from "./log.ts";
import { LongRun } from "./long_run.ts";
import {
  readTun2socksOptions,
  TUN2SOCKS_DEFAULTS,
  type Tun2socksFlags,
  type Tun2socksOptions,
} from "./tun2socks_options.ts";
import { type Tun2socksEvents, Tun2socksProcess } from "./tun2socks_process.ts";
import {
  chooseRelayPlace,
  describeRoutes,
  mayCircle,
  outsideOrigin,
} from "./tun2socks_setup.ts";
import { attendedStack, formatStackStatus } from "./tun2socks_statistics.ts";

/** How long a proxy may take to say that it is there, in ms. */
const PROBE_MS = 2000;

type Options = Tun2socksFlags & { readonly debug?: true };

/** `sluice tun2socks`. */
export function tun2socksCommand(): Command<[], Options> {
  const defaults = TUN2SOCKS_DEFAULTS;
  return new Command("tun2socks")
    .description("send what enters a TUN interface out by a proxy")
    .addOption(
      new Option("-i, --tun-ip <address>", "IPv4 address of the interface")
        .default(defaults.tunIp),
    )
    .addOption(
      new Option("--tun-ip6 <address>", "IPv6 address of the interface")
        .default(defaults.tunIp6),
    )
    .addOption(
      new Option("-m, --tun-mtu <bytes>", "MTU of the interface")
        .default(defaults.tunMtu),
    )
    .addOption(
      new Option(
        "-x, --proxy <url>",
        "socks5://user:password@host:port, http://…, https://… or direct://; " +
          "SOCKS5 where no scheme is given",
      ).default(defaults.proxy),
    )
    .addOption(
      new Option(
        "--proxy-ca <file>",
        "certificates (PEM) that an https:// proxy's may be signed by, " +
          "besides the usual ones",
      ),
    )
    .addOption(
      new Option("-n, --name <name>", "name of the interface")
        .default(defaults.name),
    )
    .addOption(
      new Option(
        "--route <prefix>",
        "lead a prefix into the interface; may be given again",
      ).argParser(another).default([] as readonly string[], "none"),
    )
    .addOption(
      new Option("--default-route", "lead everything into the interface"),
    )
    .addOption(
      new Option(
        "--exclude <prefix>",
        "leave a prefix out of the routes; may be given again",
      ).argParser(another).default([] as readonly string[], "none"),
    )
    .addOption(
      new Option(
        "--egress <interface>",
        "interface that leads outside, where it is not the one of the routes",
      ),
    )
    .addOption(
      new Option("--icmp <how>", "answer ping here, or send it out")
        .choices(["local", "forward"] as const).default(defaults.icmp),
    )
    .addOption(new Option("-d, --debug", "log more, as --log-level debug does"))
    .addHelpText("after", HELP)
    .action(async (options, command) => {
      const { logLevel } = command.optsWithGlobals() as { logLevel?: LogLevel };
      await runStack(options, logLevel ?? (options.debug ? "debug" : "info"));
    });
}

function another(text: string, before: readonly string[]): readonly string[] {
  return [...before, text];
}

const HELP = `
TCP is ended by this system's own stack and goes on through the proxy: a
connection that the proxy can't make is refused as it would be without it. UDP
goes by SOCKS5 UDP ASSOCIATE; where the proxy takes none, DNS goes over TCP and
other UDP is dropped and counted. With direct:// there is no proxy: TCP, UDP and
(--icmp forward) ping leave from this machine's own address.

--default-route takes what the routing table gives to no nearer route, of both
IP versions; the way to the proxy itself stays as it is. Of a proxy that runs on
this machine, such as ssh -D, --exclude where it connects to: its connections
would come back to it. Ctrl+C ends it and undoes addresses and routes.

${signalsHelp()}
Examples:
  sluice tun2socks -x 192.0.2.7:1080 --default-route
  sluice tun2socks -x socks5://me:secret@proxy.example.org:1080 --route 10.20.0.0/16
  sluice tun2socks -x http://192.0.2.7:3128 --route 203.0.113.0/24 --route 2001:db8::/32
  sluice tun2socks -x https://proxy.example.org:8443 --default-route
  sluice tun2socks --default-route --exclude 198.51.100.9    (ssh -D 1080 198.51.100.9)
  sluice tun2socks -x direct:// --default-route --icmp forward`;

async function runStack(flags: Tun2socksFlags, level: LogLevel): Promise<void> {
  const options = readTun2socksOptions(flags);
  using run = await LongRun.begin({
    command: "tun2socks",
    level,
    format: formatStackStatus,
  });
  const { platform, ending } = run;
  run.requireTun();
  platform.raiseOpenFileLimit();
  const { network } = run.openNetwork();
  const resolved = await resolve(options);
  const origin = outsideOrigin(resolved, options, network);
  const outbound: DialerSetup = { ...resolved, origin };
  if (outbound.kind !== "direct") await probe(outbound.proxy);
  if (options.excluded.length === 0 && mayCircle(outbound, options, network)) {
    logger("Proxy").warn(
      "the proxy runs on this machine: --exclude where it connects to, or its connections come back to it",
    );
  }
  const place = chooseRelayPlace(options, network);
  await using stack = await run.start(() =>
    Tun2socksProcess.start({
      platform,
      network,
      options,
      place,
      outbound,
      trace: level === "trace",
      events: events(ending, options),
    })
  );
  // Whoever reads that it is up may ask for the counters at once.
  const attending = run.attend(attendedStack(stack));
  logStart(options, stack);
  await attending;
}

async function resolve(options: Tun2socksOptions): Promise<DialerSetup> {
  const { outbound, proxyCa } = options;
  const authorities = proxyCa && await readAuthorities(proxyCa);
  try {
    return await resolveOutbound(outbound, { authorities });
  } catch (cause) {
    throw new UserError(
      `--proxy: ${(cause as Error).message}`,
      "give the proxy's address, or mend the resolver",
      undefined,
      { cause },
    );
  }
}

async function readAuthorities(file: string): Promise<string> {
  const text = await Deno.readTextFile(file).catch((cause) => {
    throw new UserError(
      `--proxy-ca: cannot read ${file}: ${(cause as Error).message}`,
      "give a file with certificates as PEM text",
      ExitCode.Usage,
      { cause },
    );
  });
  if (text.includes("-----BEGIN CERTIFICATE-----")) return text;
  throw new UserError(
    `--proxy-ca: ${file} holds no certificate`,
    "it must be PEM text: -----BEGIN CERTIFICATE----- and so on",
    ExitCode.Usage,
  );
}

/** Says where the proxy does not answer now; each connection tries again. */
async function probe(proxy: ProxyPlace): Promise<void> {
  const [hostname] = formatEndpoint(proxy.words, 0, proxy.port)
    .split(/:\d+$/);
  const timeout = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => timeout.reject(new Error(`no answer in ${PROBE_MS / 1000} s`)),
    PROBE_MS,
  );
  const connecting = Deno.connect({
    hostname: hostname.replace(/[[\]]/g, ""),
    port: proxy.port,
  });
  try {
    await Promise.race([connecting, timeout.promise]);
  } catch (error) {
    logger("Proxy").warn(
      "the proxy {host}:{port} can't be reached now ({reason}); each connection tries again",
      { host: proxy.host, port: proxy.port, reason: (error as Error).message },
    );
  } finally {
    clearTimeout(timer);
    connecting.then((connection) => connection.close(), () => {});
  }
}

function events(
  ending: EndingWatch,
  options: Tun2socksOptions,
): Tun2socksEvents {
  const leads6 = options.routes.some(({ family }) => family === 6);
  return {
    onDrop: (reason, flow) => {
      logger("Router").trace("drop: {reason}: {flow}", {
        reason: dropReasonText(reason),
        flow,
      });
    },
    onFailure: (message) => ending.fail(message),
    onWarning: (warning) => {
      const log = logger("Core");
      const text = `${warning.interface} has no IPv6, which goes past it: ${
        because(warning)
      }`;
      if (leads6) log.warn("{text}", { text });
      else log.debug("{text}", { text });
    },
    onLoosened: (result) => {
      if (result.kind === "unneeded" || result.interface === options.name) {
        return;
      }
      const log = logger("Core");
      if (result.kind === "loosened") {
        log.info("{name} has a loose reverse path filter until the end", {
          name: result.interface,
        });
      } else {
        log.warn(
          "{name} filters reverse paths strictly and will drop answers ({reason}): " +
            "sysctl net.ipv4.conf.{name}.rp_filter=2",
          { name: result.interface, reason: result.reason },
        );
      }
    },
    onLine: (text) => logger("Proxy").warn("{text}", { text }),
  };
}

function because({ reason }: NetworkWarning): string {
  return reason === "mtu"
    ? "its MTU is below 1280"
    : "it is switched off on this machine";
}

function logStart(options: Tun2socksOptions, stack: Tun2socksProcess): void {
  const log = logger("Core");
  log.info("TUN adapter {name}: {addresses}, MTU {mtu}; routes: {routes}", {
    name: stack.interfaceName,
    addresses: options.addresses.map(formatPrefix).join(", "),
    mtu: options.mtu,
    routes: describeRoutes(options),
  });
  log.info("out by {proxy}; ping is {icmp}", {
    proxy: formatProxyUrl(options.outbound),
    icmp: options.icmp === "local" ? "answered here" : "sent out",
  });
  if (options.routes.length === 0) {
    log.info(
      "no routes: lead something in by --route or --default-route, or bind programs to {name}",
      { name: stack.interfaceName },
    );
  }
}
