/**
 * The control plane of a client on this host: whose processes, whose resolvers,
 * what names are looked up and probes sent by.
 */
import type { ClientConfig } from "../config/client_config.ts";
import { ClientRuntime } from "../control/client/client_runtime.ts";
import type { Clock } from "../control/client/clock.ts";
import { planFromConfig } from "../control/client/plan_from_config.ts";
import type { SystemResolversOptions } from "../control/client/system_resolvers.ts";
import type { ClientEngine } from "../control/client_engine.ts";
import { resolveAll } from "../io/resolve_host.ts";
import type { Platform } from "../io/platform.ts";
import type { HostNetwork, Journal, ProcessTable } from "../io/ports.ts";
import { logClientEvent } from "./client_log.ts";
import { CLIENT_MARK } from "./client_mark.ts";
import { clientNames } from "./client_names.ts";
import { untouchedResolvers } from "./client_packet_capture.ts";
import { clientProber } from "./client_prober.ts";
import { openEgress } from "./client_routes.ts";
import { logger } from "./log.ts";
import { ownLookups } from "./own_lookups.ts";

/** What it works with. */
export interface OpenClientRuntimeOptions {
  readonly platform: Platform;
  readonly network: HostNetwork;
  readonly journal: Journal;
  readonly engine: ClientEngine;
  /** The one in force, asked for anew each time. */
  readonly config: () => ClientConfig;
  /** The addresses inside the capture that stand in for resolvers. */
  readonly nameservers: readonly Int32Array[];
  /** Whether the system's resolvers are taken over, or questions captured on their way. */
  readonly resolvers: "taken" | "captured";
}

/** Events of programs are taken in so often, where nobody asks for an owner. */
const DRAIN_INTERVAL_MS = 250;

/**
 * Makes it; it decides nothing before it is started.
 * @param resources gets what is opened, and the runtime's end.
 */
export function openClientRuntime(
  options: OpenClientRuntimeOptions,
  resources: AsyncDisposableStack,
): ClientRuntime {
  const { platform, network, engine, config, nameservers } = options;
  const processes = resources.use(platform.openProcessTable());
  const clock: Clock = { now: engine.now, after };
  const resolvConf = openResolvers(options, {
    processes,
    clock,
    onChange: () => runtime.onResolversChange(),
    resources,
  });
  const sockets = platform.openStreamSockets();
  const runtime: ClientRuntime = new ClientRuntime({
    plan: planFromConfig(config()),
    engine,
    processes,
    ownProcessId: Deno.pid,
    pathStyle: platform.pathStyle,
    nameService: platform.nameService,
    clock,
    random: Math.random,
    resolve: platform.nameService === undefined ? resolveAll : ownLookups({
      resolvers: () => runtime.directResolvers(),
      source: (words) => network.egressFor(words, CLIENT_MARK)?.source,
      system: resolveAll,
    }),
    prober: (request) =>
      clientProber({ sockets, platform, ownFlows: runtime.ownFlows })(request),
    chooseEgress: () => openEgress(network, config()),
    nameservers,
    resolvConf,
  });
  resources.defer(() => runtime.stop());
  resources.use(runtime.subscribe(logClientEvent));
  const timer = setInterval(() => processes.drain(), DRAIN_INTERVAL_MS);
  resources.defer(() => clearInterval(timer));
  tellLineage(processes);
  return runtime;
}

function openResolvers(
  options: OpenClientRuntimeOptions,
  { processes, clock, onChange, resources }: {
    readonly processes: ProcessTable;
    readonly clock: Clock;
    readonly onChange: () => void;
    readonly resources: AsyncDisposableStack;
  },
): SystemResolversOptions["resolvConf"] {
  const { platform, journal, engine, nameservers, resolvers } = options;
  if (resolvers === "captured") return untouchedResolvers(platform, journal);
  return resources.use(clientNames({
    platform,
    journal,
    interfaceName: engine.interfaceName,
    processes,
    nameservers,
    clock,
    onChange,
    onWarning: (text) => logger("DNS").warn("{text}", { text }),
  }));
}

function tellLineage({ lineage }: ProcessTable): void {
  if (lineage.kind !== "asking") return;
  logger("Rule").info(
    "programs started by others are told by asking alone: {reason}",
    { reason: lineage.reason },
  );
}

function after(delayMs: number, run: () => void): Disposable {
  const timer = setTimeout(run, delayMs);
  return { [Symbol.dispose]: () => clearTimeout(timer) };
}
