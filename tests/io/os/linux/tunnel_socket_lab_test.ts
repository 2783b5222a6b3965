/** The tunnel's socket under changes of the host, in a namespace. */
import { testInside } from "./inside.ts";

await testInside("the tunnel's socket survives small MTUs and lost addresses", {
  file: "./tunnel_socket_inside.ts",
  caller: import.meta.url,
  needs: [],
});
