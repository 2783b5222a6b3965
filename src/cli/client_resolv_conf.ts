/** The system's list of resolvers, as a client takes it over and gives it back. */
import { ResolvConf } from "../control/client/resolv_conf.ts";
import type { Clock } from "../control/client/clock.ts";
import type { ProcessTable } from "../io/ports.ts";
import { replaceableFile } from "../io/replaceable_file.ts";

/** What taking over works with. */
export interface ClientResolvConfOptions {
  readonly processes: Pick<ProcessTable, "process">;
  readonly nameservers: readonly Int32Array[];
  readonly clock: Clock;
  readonly onChange: () => void;
  readonly onWarning: (text: string) => void;
}

const RESOLV_CONF = "/etc/resolv.conf";
/** Where resolvers on this host write whom they ask. */
const UPLINKS = [
  "/run/systemd/resolve/resolv.conf",
  "/run/NetworkManager/no-stub-resolv.conf",
  "/run/resolvconf/resolv.conf",
];

/** resolv.conf, with its journal where a reboot does not empty it. */
export function clientResolvConf(
  options: ClientResolvConfOptions,
): ResolvConf {
  const { processes } = options;
  const directory = stateDirectory();
  Deno.mkdirSync(directory, { recursive: true, mode: 0o700 });
  const startTime = (processId: number) =>
    processes.process(processId)?.startTime;
  return new ResolvConf({
    ...options,
    file: replaceableFile(RESOLV_CONF),
    journal: replaceableFile(`${directory}/resolv.conf.json`),
    owner: `${Deno.pid} ${startTime(Deno.pid)} ${bootId()}`,
    isAlive: (owner) => {
      const [processId, startedAt, boot] = owner.split(" ");
      return boot === bootId() &&
        String(startTime(Number(processId))) === startedAt;
    },
    uplinks: UPLINKS.map(replaceableFile),
  });
}

/** As systemd names it (StateDirectory=), or the usual place. */
function stateDirectory(): string {
  const [named] = (Deno.env.get("STATE_DIRECTORY") ?? "").split(":");
  return named.startsWith("/") ? named : "/var/lib/sluice";
}

function bootId(): string {
  return Deno.readTextFileSync("/proc/sys/kernel/random/boot_id").trim();
}
