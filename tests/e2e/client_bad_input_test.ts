/** What `sluice client` says where it can't start, and that it leaves nothing then. */
import assert from "node:assert/strict";
import {
  ask,
  makeClientLab,
  makeProgram,
  SEEN,
  seenByTcp,
  startClient,
  wireguardTunnel,
} from "../support/client_lab.ts";
import { e2eTest } from "../support/e2e.ts";
import { OUTSIDE } from "../support/gateway_net.ts";
import { hostState } from "../support/host_state.ts";

await e2eTest({
  name:
    "client: no config, bad ones with their places, a taken name, a second one",
  needs: [
    "tun",
    "wireguard-go",
    { program: "wg" },
    { program: "nc" },
    { program: "nft" },
  ],
  run: async (lab) => {
    const place = await makeClientLab(lab);
    const { host } = place;
    const nc = await makeProgram(lab, "/usr/bin/nc", "alpha");
    const before = await hostState(host);
    const start = async (text: string) => {
      const path = await lab.write("bad.yaml", text);
      return await ask(host, "client", "-c", path);
    };
    const absent = await ask(host, "client", "-c", "/nowhere/client.yaml");
    assert.equal(absent.code, 2);
    assert.match(absent.stderr, /no config[^]*sluice import[^]*--init/);

    const proxy =
      "tunnels: [{name: a, type: socks5, url: 'socks5://192.0.2.1:1'}]";
    const cases: [string, RegExp][] = [
      ["", /bad\.yaml:1:1: default/],
      [
        `${proxy}\nrules:\n  - process: x\n    tunnel: b\ndefault: direct\n`,
        /bad\.yaml:4:13: rules\[0\]\.tunnel: unknown tunnel "b"/,
      ],
      ["default: dirct\n", /bad\.yaml:1:10: default: .*did you mean direct/],
      [
        "tunnels: [{name: w, type: wireguard, file: no.conf}]\ndefault: w\n",
        /bad\.yaml:1:44: tunnels\[0\]\.file: .*no\.conf does not exist/,
      ],
      ["default: [\n", /bad\.yaml:\d+:\d+: YAML/],
    ];
    for (const [text, expected] of cases) {
      const { code, stderr } = await start(text);
      assert.equal(code, 2, stderr);
      assert.match(stderr, expected);
    }
    assert.deepEqual(await hostState(host), before);

    await host.ip("link add sluice1 type veth peer name sluice2");
    const taken = await start("default: direct\nkillSwitch: {persist: true}\n");
    assert.equal(taken.code, 1);
    assert.match(
      taken.stderr,
      /interface sluice1 already[^]*capture\.interface/,
    );
    await host.ip("link delete sluice1");
    assert.deepEqual(await hostState(host), before);
    const { stdout } = await host.run(["nft", "list", "ruleset"]);
    assert.equal(stdout, "", "a start that failed shuts nothing");

    for (const verb of [["status"], ["flows"], ["reload"], ["pause"]]) {
      const none = await ask(host, ...verb);
      assert.equal(none.code, 1);
      assert.match(none.stderr, /no client runs here[^]*sudo sluice client/);
    }
    const client = await startClient(place, {
      tunnels: [wireguardTunnel(place)],
      default: "direct",
    });
    const second = await start("default: direct\n");
    assert.equal(second.code, 1);
    assert.match(second.stderr, /a client runs already/);
    assert.equal(await seenByTcp(host, nc, OUTSIDE.first), SEEN.direct);
    assert.equal(await client.stop(), 0);
    assert.deepEqual(await hostState(host), before);
  },
});
