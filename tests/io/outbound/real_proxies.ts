/** Real proxies with a user and password, on loopback of a namespace of their own. */
import { danteConfig } from "../../support/dante.ts";
import { LoggedProcess, runCommand } from "../../support/process.ts";
import { waitFor } from "../../support/wait.ts";
import { PLACE } from "./contract.ts";
import type { Certificate } from "../../vectors/certificates.ts";

/** Who may use them. */
export const USER = { user: "alice", password: "open sesame:%" } as const;

/** Who may use the HTTP proxy, whose configuration takes plain words only. */
export const HTTP_USER = { user: "alice", password: "open-sesame.1" } as const;

/** Their ports. */
export const PORTS = {
  microsocks: 1080,
  microsocksOpen: 1081,
  dante: 1082,
  tinyproxy: 3128,
  socat: 3129,
} as const;

/** Whatever we start ends with us. */
const WITH_US = ["setpriv", "--pdeathsig", "KILL", "--"];

const PLACE_LINES = `
ip address add ${PLACE.destination4}/32 dev lo
ip address add ${PLACE.destination6}/128 dev lo nodad
ip route add unreachable ${PLACE.lost4}/32
ip rule add priority 1 lookup local
ip rule del priority 0
ip rule add priority 0 fwmark 7 unreachable
`;

/** Makes addresses, routes, names and a user of the namespace that we are in. */
export async function preparePlace(directory: string): Promise<void> {
  const { stdout } = await runCommand(["openssl", "passwd", "-6", "-stdin"], {
    input: USER.password,
  });
  const files = {
    hosts: [
      "127.0.0.1 localhost",
      `${PLACE.destination4} ${PLACE.name4}`,
      `${PLACE.destination6} ${PLACE.name6}`,
    ],
    // dante knows the system's users: these are the namespace's own.
    passwd: [
      "root:x:0:0:root:/root:/bin/sh",
      "nobody:x:65534:65534::/nonexistent:/usr/sbin/nologin",
      `${USER.user}:x:2000:2000::/nonexistent:/usr/sbin/nologin`,
    ],
    shadow: [
      "root:*:1:0:99999:7:::",
      `${USER.user}:${stdout.trim()}:1:0:99999:7:::`,
    ],
  };
  for (const [name, lines] of Object.entries(files)) {
    const path = `${directory}/${name}`;
    await Deno.writeTextFile(path, lines.join("\n") + "\n");
    await Deno.chmod(path, 0o644);
    await runCommand(["mount", "--bind", path, `/etc/${name}`]);
  }
  await runCommand(["sh", "-ec", PLACE_LINES]);
}

/** Starts all of them and waits until each listens. */
export async function startProxies(
  directory: string,
  { certificate, key }: Certificate,
): Promise<LoggedProcess[]> {
  const write = async (name: string, text: string) => {
    const path = `${directory}/${name}`;
    await Deno.writeTextFile(path, text);
    return path;
  };
  const dante = await write(
    "danted.conf",
    danteConfig({
      address: "127.0.0.1",
      port: PORTS.dante,
      external: ["lo"],
      method: "username",
    }),
  );
  const tinyproxy = await write("tinyproxy.conf", tinyproxyConfig());
  const pem = await write("proxy.pem", key + certificate);
  const { user, password } = USER;
  const listen = (port: number) => ["-i", "127.0.0.1", "-p", String(port)];
  const tls = [
    `OPENSSL-LISTEN:${PORTS.socat},bind=127.0.0.1,fork,reuseaddr`,
    `cert=${pem},verify=0`,
  ].join(",");
  const commands = [
    ["microsocks", ...listen(PORTS.microsocks), "-u", user, "-P", password],
    ["microsocks", ...listen(PORTS.microsocksOpen)],
    ["danted", "-f", dante],
    ["tinyproxy", "-d", "-c", tinyproxy],
    ["socat", "-t", "10", tls, `TCP:127.0.0.1:${PORTS.tinyproxy}`],
  ];
  const processes = commands.map((command) =>
    new LoggedProcess(command[0], [...WITH_US, ...command])
  );
  try {
    await Promise.all(Object.values(PORTS).map(waitForPort));
  } catch (error) {
    for (const process of processes) console.log(process.tail());
    throw error;
  }
  return processes;
}

async function waitForPort(port: number): Promise<void> {
  await waitFor(`a proxy at port ${port}`, async () => {
    (await Deno.connect({ hostname: "127.0.0.1", port })).close();
    return true;
  }, { timeoutMs: 10_000 });
}

function tinyproxyConfig(): string {
  const { user, password } = HTTP_USER;
  return `
Port ${PORTS.tinyproxy}
Listen 127.0.0.1
Timeout 60
LogLevel Connect
MaxClients 100
Allow 127.0.0.1
BasicAuth ${user} ${password}
`;
}
