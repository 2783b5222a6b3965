/**
 * `deno task demo`: the program at work on this machine, in three network
 * namespaces that it makes and that vanish with it.
 *
 *   client --192.0.2.0/24-- gateway --198.51.100.0/24-- internet
 *   sluice connect          sluice server               UDP echo, DNS, web, sink
 *
 * Sends ping, DNS, UDP and TCP through the tunnel and prints what went where.
 * The exit code is 0 only when all of it held.
 */
import { Lab } from "../tests/support/lab.ts";
import { missingForLab } from "../tests/support/privileges.ts";
import { TUNNEL } from "../tests/support/sluice.ts";
import { dns, ping, udpEcho, udpStream } from "./demo/datagrams.ts";
import { NET, startDemo } from "./demo/place.ts";
import { formatDrops, formatTable } from "./demo/table.ts";
import { tcpConnections, tcpRefused, tcpTransfer } from "./demo/tcp.ts";

/** Runs the demo; false where anything did not hold. */
async function run(): Promise<boolean> {
  await using lab = await Lab.create();
  try {
    const demo = await startDemo(lab);
    const rows = [
      await ping(demo, "the gateway", TUNNEL.gateway),
      await ping(demo, "a host outside", NET.host),
      await dns(demo, "udp"),
      await dns(demo, "tcp"),
      await udpEcho(demo, 64),
      await udpEcho(demo, 1400),
      await udpStream(demo),
      await tcpConnections(demo),
      await tcpTransfer(demo),
      await tcpRefused(demo),
    ];
    const codes = [await demo.connect.stop(), await demo.server.stop()];
    console.log(formatTable(rows));
    console.log(formatDrops(demo.server.lines));
    const held = rows.every((row) => row.held) &&
      codes.every((code) => code === 0);
    if (!held) console.log(lab.report());
    return held;
  } catch (error) {
    console.log(lab.report());
    throw error;
  }
}

if (import.meta.main) {
  const missing = await missingForLab(["tun"]);
  if (missing !== undefined) {
    console.error(`the demo can't run here: ${missing}`);
    Deno.exit(1);
  }
  const started = performance.now();
  const held = await run();
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(
    held
      ? `all of it held, in ${seconds} s`
      : `not all of it held, after ${seconds} s`,
  );
  Deno.exit(held ? 0 : 1);
}
