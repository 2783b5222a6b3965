/** dante: a real SOCKS5 proxy that relays UDP (Debian package dante-server). */
import { LoggedProcess } from "./process.ts";

/** Where dante listens and what it allows. */
export interface DanteOptions {
  /** Clients connect to it; it relays datagrams from it. */
  readonly address: string;
  readonly port: number;
  /** Interfaces or addresses towards the destinations. */
  readonly external: readonly string[];
  /** `username`: user and password of the system; `none` where left out. */
  readonly method?: "none" | "username";
  /** `refused`: its rules allow connections only. */
  readonly udp?: "allowed" | "refused";
}

/** The program, and the line that it prints once it serves. */
export const DANTE = "danted";
export const DANTE_RUNS = /danted\[.*\]: info: .* running$/;

/** The text of a danted.conf. */
export function danteConfig(options: DanteOptions): string {
  const { address, port, external, method = "none", udp = "allowed" } = options;
  const commands = udp === "allowed" ? "connect udpassociate" : "connect";
  return `
logoutput: stdout
internal: ${address} port = ${port}
${external.map((one) => `external: ${one}`).join("\n")}
clientmethod: none
socksmethod: ${method}
user.privileged: root
user.unprivileged: nobody
client pass {
  from: 0/0 to: 0/0
}
socks pass {
  from: 0/0 to: 0/0
  command: ${commands}
  log: error connect disconnect
}
socks pass {
  from: 0/0 to: 0/0
  command: bindreply udpreply
  log: error
}
`;
}

/** A dante that runs on this machine's loopback. */
export interface Dante {
  /** The last lines that it printed, for a failure's text. */
  tail(): string;
  /** Ends it with the sessions that it has: by itself it would see them through. */
  kill(): Promise<void>;
}

/** Starts dante and waits until it serves. */
export async function startDante(options: DanteOptions): Promise<Dante> {
  const path = await Deno.makeTempFile({ prefix: "danted-" });
  try {
    await Deno.writeTextFile(path, danteConfig(options));
    const process = new LoggedProcess("dante", [DANTE, "-f", path]);
    await process.waitForLine(DANTE_RUNS);
    return {
      tail: () => process.tail(),
      async kill() {
        await killChildren(process.pid);
        await process.stop(0);
      },
    };
  } finally {
    await Deno.remove(path);
  }
}

/** Kills the processes that a dante has made; they hold its sessions. */
export async function killChildren(pid: number): Promise<void> {
  for (const child of await childrenOf(pid)) {
    try {
      Deno.kill(child, "SIGKILL");
    } catch {
      // It has ended by itself.
    }
  }
}

async function childrenOf(pid: number): Promise<number[]> {
  const text = await Deno.readTextFile(`/proc/${pid}/task/${pid}/children`)
    .catch(() => ""); // it has ended
  return text.split(" ").filter((one) => one !== "").map(Number);
}

/** A port of loopback that nobody has now. */
export function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}
