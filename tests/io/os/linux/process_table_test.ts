/** Which program a flow belongs to, on the real kernel with real programs. */
import { testInside } from "./inside.ts";

await testInside("flows belong to the programs that hold their sockets", {
  file: "./process_table_inside.ts",
  caller: import.meta.url,
  needs: [],
});

await testInside("a process id that is used again is another program", {
  file: "./process_reuse_inside.ts",
  caller: import.meta.url,
  needs: [],
  through: ["unshare", "--pid", "--fork", "--mount-proc"],
});
