/** A gateway with the rights of its unit, and no others, does all its work. */
import assert from "node:assert/strict";
import { denoRun } from "../support/agent.ts";
import { e2eTest } from "../support/e2e.ts";
import { makeGatewayNet, OUTSIDE } from "../support/gateway_net.ts";
import { hostState } from "../support/host_state.ts";
import { generateKeyPair } from "../support/keys.ts";
import { joinByWireguardGo, WIREGUARD_NEEDS } from "../support/scenario.ts";
import { makeClient, serverConfig } from "../support/sluice.ts";
import { startHttpBytes } from "../support/tun2socks.ts";

const MAIN = new URL("../../main.ts", import.meta.url).pathname;
const HTTP_PORT = 8080;

/** Capabilities in the words of setpriv, as the unit that we would install has them. */
async function capabilities(config: string): Promise<string[]> {
  const [program, ...args] = denoRun(
    MAIN,
    "task",
    ...["install", "--mode", "server", "-c", config, "--print"],
  );
  const { stdout } = await new Deno.Command(program, { args }).output();
  const unit = new TextDecoder().decode(stdout);
  const list = /^CapabilityBoundingSet=(.+)$/m.exec(unit)![1].split(" ");
  return list.map((name) => name.replace("CAP_", "").toLowerCase());
}

await e2eTest({
  name: "task: a gateway with the unit's rights and a file system to read only",
  needs: [...WIREGUARD_NEEDS, { program: "curl" }],
  run: async (lab) => {
    const { gateway, internet, clients: [place] } = await makeGatewayNet(lab);
    const [keys, client] = await Promise.all([
      generateKeyPair(),
      makeClient(1),
    ]);
    const config = serverConfig(keys, {
      clients: [client],
      config: { forward: { tcp: "proxy" } },
    });
    const path = await lab.write("server.yaml", JSON.stringify(config));
    const before = await hostState(gateway);
    const granted = (await capabilities(path)).map((name) => `+${name}`);
    assert.ok(granted.length > 2);
    // Rights do matter here: without them it does not even start.
    const without = await gateway.run(denoRun(MAIN, "server", "-c", path), {
      setpriv: ["--bounding-set=-all", "--no-new-privs"],
      exit: "any",
    });
    assert.equal(without.code, 1);
    assert.match(without.stderr, /root/);
    const folder = path.slice(0, path.lastIndexOf("/"));
    const server = gateway.spawn("server", [
      "sh",
      "-ec",
      // As ProtectSystem=strict with ReadWritePaths.
      `mount --bind "$1" "$1"; mount -o remount,bind,ro /; shift; exec "$@"`,
      "sh",
      folder,
      "setpriv",
      `--bounding-set=-all,${granted.join(",")}`,
      "--no-new-privs",
      ...denoRun(MAIN, "server", "-c", path),
    ]);
    await server.waitForLine(/gateway up:/);
    await joinByWireguardGo({ keys }, place, client);
    await place.namespace.reaches("10.66.0.1");
    await place.namespace.reaches(OUTSIDE.first);
    await startHttpBytes(internet, {
      address: OUTSIDE.first,
      port: HTTP_PORT,
    });
    const { stdout } = await place.namespace.run([
      ...["curl", "-sS", "--fail", "-m", "20"],
      `http://${OUTSIDE.first}:${HTTP_PORT}/bytes?count=1000`,
      ...["-o", "/dev/null", "-w", "%{size_download}"],
    ]);
    assert.equal(stdout, "1000");
    server.signal("SIGTERM");
    assert.equal(await server.waitForExit(), 0, server.tail());
    assert.deepEqual(await hostState(gateway), before);
  },
});
