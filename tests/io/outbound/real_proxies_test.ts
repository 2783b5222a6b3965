/** Dialers against real proxies, in a namespace with users and routes of its own. */
import { testInside } from "../os/linux/inside.ts";

await testInside("dialers keep their contract with real proxies", {
  file: "./real_proxies_inside.ts",
  caller: import.meta.url,
  needs: [
    "root",
    { program: "microsocks" },
    { program: "danted" },
    { program: "tinyproxy" },
    { program: "socat" },
    { program: "openssl" },
  ],
});
