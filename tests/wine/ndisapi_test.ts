/** Capture under Wine, by a stand-in for the driver between two TAP interfaces. */
import { denoRun } from "../support/agent.ts";
import { waitFor } from "../support/wait.ts";
import { insideTests } from "./support/inside.ts";
import {
  buildNdisapi,
  CapturableLine,
  NDISAPI_ENV,
} from "./support/ndisapi.ts";

const INSIDE = new URL("./inside/ndisapi_windows.ts", import.meta.url).pathname;
const PEER = new URL("./support/ndisapi_peer.ts", import.meta.url).pathname;
const JUMBO_FRAME = 9014;

await insideTests([INSIDE], {
  needs: ["tun"],
  async prepare(windows) {
    const network = await windows.lab.namespace("network");
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
    const peer = network.spawn("peer", denoRun(PEER));
    await waitFor("the peer", () => peer.lines.includes("ready"));
    const [ndisapi, jumbo] = await Promise.all([
      buildNdisapi(),
      buildNdisapi(JUMBO_FRAME),
    ]);
    return {
      beside: [ndisapi],
      env: { ...NDISAPI_ENV, JUMBO_NDISAPI: jumbo },
    };
  },
});
