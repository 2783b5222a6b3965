/** Capture under Wine, by a stand-in for the driver between two TAP interfaces. */
import { Lab } from "../support/lab.ts";
import { missingForLab } from "../support/privileges.ts";
import { waitFor } from "../support/wait.ts";
import { WineMachine } from "./support/machine.ts";
import {
  buildNdisapi,
  CapturableLine,
  NDISAPI_ENV,
} from "./support/ndisapi.ts";

const NAME = "packets captured under Wine pass, are held back, and are made";
const INSIDE = new URL("./inside/ndisapi_windows.ts", import.meta.url).pathname;
const PEER = new URL("./support/ndisapi_peer.ts", import.meta.url).pathname;

const missing = await missingForLab(["tun"]);
const skipped = missing !== undefined && Deno.env.get("CI") !== "true";

Deno.test({
  name: skipped ? `${NAME} (skipped: ${missing})` : NAME,
  ignore: skipped,
  async fn() {
    if (missing !== undefined) throw new Error(missing);
    await using lab = await Lab.create();
    const windows = await lab.namespace("windows");
    const network = await lab.namespace("network");
    const machine = await WineMachine.start(windows, {
      beside: [await buildNdisapi()],
      env: NDISAPI_ENV,
    });
    await CapturableLine.start(windows, {
      host: {
        name: "ethernet0",
        addresses: ["192.0.2.2/24", "2001:db8::2/64"],
      },
      wire: {
        name: "wire0",
        addresses: ["192.0.2.1/24", "2001:db8::1/64"],
        namespace: network,
      },
    });
    const peer = network.spawn("peer", [
      Deno.execPath(),
      "run",
      "-A",
      "--no-check",
      "--quiet",
      "--unstable-net",
      PEER,
    ]);
    await waitFor("the peer", () => peer.lines.includes("ready"));
    await machine.run(
      [
        machine.deno,
        "test",
        "-A",
        "--no-check",
        "--cached-only",
        "--unstable-net",
        INSIDE,
      ],
      {
        timeoutMs: 120_000,
        env: { NO_COLOR: "1", JUMBO_NDISAPI: await buildNdisapi(9014) },
      },
    );
  },
});
