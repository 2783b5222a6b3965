/** Outside sockets, echo sockets and ICMP errors, in namespaces with a router. */
import { testInside } from "./inside.ts";

await testInside("outside sockets reach across a router", {
  file: "./outside_inside.ts",
  caller: import.meta.url,
  needs: [{ program: "ping" }],
});
