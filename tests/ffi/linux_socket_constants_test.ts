/** The socket constants against what a C compiler makes of the system's headers. */
import assert from "node:assert/strict";
import * as constants from "../../ffi/linux_socket_constants.ts";

const HEADERS = [
  "errno.h",
  "poll.h",
  "netinet/in.h",
  "netinet/icmp6.h",
  "netinet/tcp.h",
  "netinet/udp.h",
  "sys/epoll.h",
  "sys/eventfd.h",
  "sys/socket.h",
  "linux/errqueue.h",
];

const wanted: [name: string, value: number][] = Object.entries(constants)
  .flatMap(([group, values]): [string, number][] =>
    typeof values === "number"
      ? [[group, values]]
      : Object.entries(values).map(([key, value]): [string, number] => [
        cName(group, key),
        value,
      ])
  );

const compiler = Deno.build.os === "linux" && await hasCompiler();

Deno.test({
  name: compiler
    ? "constants are those of the C headers"
    : "constants are those of the C headers (skipped: no gcc on this Linux)",
  ignore: !compiler,
  async fn() {
    const program = [
      "#define _GNU_SOURCE",
      "#include <stdio.h>",
      "#include <time.h>",
      ...HEADERS.map((header) => `#include <${header}>`),
      // linux/icmp.h has it, which cannot be included beside netinet/in.h.
      "#define ICMP_FILTER ICMP6_FILTER",
      "int main(void) {",
      ...wanted.map(([name]) =>
        `printf("${name} %lld\\n", (long long)(${name}));`
      ),
      "return 0; }",
    ].join("\n");
    const directory = await Deno.makeTempDir();
    try {
      await Deno.writeTextFile(`${directory}/constants.c`, program);
      const path = `${directory}/constants`;
      const { success, stderr } = await new Deno.Command("gcc", {
        args: ["-o", path, `${path}.c`],
      }).output();
      assert.ok(success, new TextDecoder().decode(stderr));
      const { stdout } = await new Deno.Command(path).output();
      assert.deepEqual(
        new TextDecoder().decode(stdout).trim().split("\n"),
        wanted.map(([name, value]) => `${name} ${value}`),
      );
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  },
});

function cName(group: string, key: string): string {
  if (group === "ERRNO") return key;
  if (group === "TCP_STATE") return `TCP_${key}`;
  return group === "POLL" ? `POLL${key}` : `${group}_${key}`;
}

function hasCompiler(): Promise<boolean> {
  return new Deno.Command("gcc", { args: ["--version"] }).output()
    .then(({ success }) => success, () => false);
}
