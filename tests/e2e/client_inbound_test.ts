/** Who calls at the host of `sluice client` is answered at the ports of the config, and nothing else leaves so. */
import assert from "node:assert/strict";
import {
  ask,
  ECHO_PORT,
  makeClientLab,
  makeProgram,
  SEEN,
  startClient,
  tunnelIs,
  wireguardTunnel,
} from "../support/client_lab.ts";
import { e2eTest } from "../support/e2e.ts";
import { OUTSIDE } from "../support/gateway_net.ts";
import type { Namespace } from "../support/lab.ts";

const OPEN_PORT = 22;
/** Open in the config, and nobody listens. */
const UNUSED_PORT = 922;
const SHUT_PORT = 2222;

/** A server that says what it is told. */
async function serve(host: Namespace, port: number): Promise<void> {
  for (const family of ["TCP4", "TCP6"]) {
    const server = host.spawn(`${family} ${port}`, [
      ...["socat", "-d", "-d"],
      `${family}-LISTEN:${port},fork,reuseaddr${
        family === "TCP6" ? ",ipv6only=1" : ""
      }`,
      "EXEC:cat",
    ]);
    await server.waitForLine(/listening on/);
  }
}

await e2eTest({
  name:
    "client: calls from outside are answered at open ports, those of before live on; a bound source doesn't pass for an answer",
  needs: [
    "tun",
    "wireguard-go",
    { program: "wg" },
    { program: "nc" },
    { program: "socat" },
    { program: "tcpdump" },
    { program: "nft" },
  ],
  run: async (lab) => {
    const place = await makeClientLab(lab);
    const { host, net } = place;
    const { internet } = net;
    const [blocked, alpha] = await Promise.all(
      ["blocked", "alpha"].map((name) => makeProgram(lab, "/usr/bin/nc", name)),
    );
    await Promise.all([serve(host, OPEN_PORT), serve(host, SHUT_PORT)]);
    const call = async (address: string, port: number, from = internet) => {
      const { stdout } = await from.run(
        ["nc", "-N", "-w", "2", address, String(port)],
        { input: "who\n", exit: "any", timeoutMs: 10_000 },
      );
      return stdout.trim();
    };
    const session = (port: number) =>
      internet.spawn(`session ${port}`, ["nc", SEEN.direct, String(port)], {
        stdin: "piped",
      });
    // Another network, where nobody is answered by default; each filters strictly.
    await lab.link(
      { namespace: host, name: "out2", addresses: ["10.5.0.1/24"] },
      { namespace: net.router, name: "in2", addresses: ["10.5.0.2/24"] },
    );
    for (const name of ["all", "out", "out2"]) {
      await host.sysctl(`net.ipv4.conf.${name}.rp_filter`, 1);
    }
    const living = session(OPEN_PORT);
    await living.writeLine("first");
    await living.waitForLine(/^first$/);

    const config = {
      tunnels: [wireguardTunnel(place)],
      rules: [
        { process: "blocked", tunnel: "drop" },
        { process: "alpha", tunnel: "wg" },
      ],
      default: "direct",
      killSwitch: { allowInbound: [OPEN_PORT, UNUSED_PORT] },
    };
    const client = await startClient(place, config);
    await tunnelIs(host, "wg", "up");
    await living.writeLine("second");
    await living.waitForLine(/^second$/);
    assert.equal(await call(SEEN.direct, OPEN_PORT), "who");
    assert.equal(await call(SEEN.direct6, OPEN_PORT), "who");
    assert.equal(await call("10.5.0.1", OPEN_PORT, net.router), "who");
    assert.equal(await call(SEEN.direct, SHUT_PORT), "");
    assert.equal(await call(SEEN.direct6, SHUT_PORT), "");

    // Bound to the host's own address, and to a port that is open.
    const wire = net.router.spawn("tcpdump", [
      ...["tcpdump", "-i", "in", "-n", "-l", "--immediate-mode"],
      `port ${ECHO_PORT}`,
    ]);
    await wire.waitForLine(/listening on/);
    const bound = async (program: string, ...options: readonly string[]) => {
      const { stdout } = await host.run(
        [
          ...[program, "-N", "-w", "2", ...options],
          ...[OUTSIDE.first, String(ECHO_PORT)],
        ],
        {
          input: "GET / HTTP/1.0\r\n\r\n",
          exit: "any",
          timeoutMs: 10_000,
        },
      );
      return stdout.trim().split("\n").at(-1)?.trim() ?? "";
    };
    const source = ["-s", SEEN.direct] as const;
    for (
      const options of [source, [...source, "-p", String(UNUSED_PORT)], [
        "-u",
        ...source,
        "-p",
        String(UNUSED_PORT),
      ]]
    ) {
      assert.equal(await bound(blocked, ...options), "");
      const seen = await bound(alpha, ...options);
      assert.ok(seen === "" || seen === SEEN.wireguard, seen);
    }
    const leaked = wire.lines.filter((line) => /^\d\d:\d\d:\d\d/.test(line));
    assert.deepEqual(leaked, []);

    // Shut while it runs.
    await Deno.writeTextFile(
      `${lab.directory}/client.yaml`,
      JSON.stringify({ ...config, killSwitch: { allowInbound: [] } }),
    );
    const reload = await ask(host, "reload");
    assert.equal(reload.code, 0, reload.stderr);
    assert.equal(await call(SEEN.direct, OPEN_PORT), "");
    // A client that was killed shuts nobody out, although its kill switch stays.
    await Deno.writeTextFile(
      `${lab.directory}/client.yaml`,
      JSON.stringify({ ...config, killSwitch: { persist: true } }),
    );
    assert.equal((await ask(host, "reload")).code, 0);
    client.signal("SIGKILL");
    await client.waitForExit();
    assert.equal(await call(SEEN.direct, OPEN_PORT), "who");
    assert.equal(await call(SEEN.direct, SHUT_PORT), "");
    const reset = await ask(host, "client", "--reset");
    assert.equal(reset.code, 0, reset.stderr);
    assert.equal(await call(SEEN.direct, SHUT_PORT), "who");
  },
});
