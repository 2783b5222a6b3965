/** The host's network, applied and undone on a real kernel. */
import { testInside } from "./inside.ts";

await testInside(
  "interfaces become what a configuration says, and what they were",
  {
    file: "./host_network_inside.ts",
    caller: import.meta.url,
    needs: ["tun"],
  },
);
