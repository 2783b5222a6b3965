/** Events that report to a completion port, by a stand-in for what Wine lacks. */
import { insideTests } from "./support/inside.ts";
import { buildForWindows } from "./support/standins.ts";

const FILE = "./inside/wait_packets_windows.ts";
const SOURCE = "./standins/wait_packets.c";

await insideTests([new URL(FILE, import.meta.url).pathname], {
  prepare: async () => ({
    beside: [
      await buildForWindows({
        name: "waitpackets.dll",
        sources: [new URL(SOURCE, import.meta.url).pathname],
      }),
    ],
  }),
});
