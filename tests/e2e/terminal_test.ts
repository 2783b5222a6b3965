/** `sluice server` on a terminal (a pty made by `script`): status line, Ctrl+C. */
import assert from "node:assert/strict";
import { denoRun } from "../support/agent.ts";
import { e2eTest } from "../support/e2e.ts";
import { hostState } from "../support/host_state.ts";
import { makeGatewayNet } from "../support/gateway_net.ts";
import { generateKeyPair } from "../support/keys.ts";
import { joinByWireguardGo, WIREGUARD_NEEDS } from "../support/scenario.ts";
import { makeClient, serverConfig } from "../support/sluice.ts";
import { waitFor } from "../support/wait.ts";

const MAIN = new URL("../../main.ts", import.meta.url).pathname;
const CTRL_C = "\x03";

await e2eTest({
  name: "terminal: a status line that lives, and Ctrl+C ends it cleanly",
  needs: [...WIREGUARD_NEEDS, { program: "script" }],
  run: async (lab) => {
    const { gateway, clients: [place] } = await makeGatewayNet(lab);
    const before = await hostState(gateway);
    const [keys, client] = await Promise.all([
      generateKeyPair(),
      makeClient(1),
    ]);
    const config = serverConfig(keys, { clients: [client] });
    const path = await lab.write("server.yaml", JSON.stringify(config));
    // By `exec`: a shell that stays would answer Ctrl+C too, each in its way.
    const command = [
      "stty columns 120 rows 40; exec",
      ...denoRun(MAIN, "server", "-c", path),
    ].join(" ");
    const terminal = gateway.spawn("terminal", [
      "script",
      ...["--quiet", "--return", "--flush", "--command", command, "/dev/null"],
    ], { stdin: "piped", env: { TERM: "xterm" } });
    await terminal.waitForLine(/gateway up:/);
    await joinByWireguardGo({ keys }, place, client);

    // The line is written over itself: it ends in no newline until it is gone.
    await waitFor("the traffic to be told", async () => {
      await place.namespace.reaches("10.66.0.1");
      return /peers 1\/1 \| in .* packets/.test(terminal.unfinishedLine);
    });
    await terminal.writeLine(CTRL_C);
    assert.equal(await terminal.waitForExit(), 0, terminal.tail());
    assert.deepEqual(await hostState(gateway), before);
  },
});
