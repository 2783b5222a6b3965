/** TUN devices whose super-packets stay whole, on a real /dev/net/tun. */
import { testInside } from "./inside.ts";

await testInside("TUN devices pass TCP super-packets on whole", {
  file: "./tun_whole_inside.ts",
  caller: import.meta.url,
  needs: ["tun"],
});
