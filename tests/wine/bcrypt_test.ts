/** The provider of bcrypt.dll with the cipher that Wine's own lacks. */
import { insideTests } from "./support/inside.ts";
import { buildForWindows } from "./support/standins.ts";

const resolve = (path: string) => new URL(path, import.meta.url).pathname;

await insideTests([resolve("./inside/bcrypt_chacha_windows.ts")], {
  async prepare() {
    const library = await buildForWindows({
      name: "chacha_bcrypt.dll",
      sources: [resolve("./standins/chacha_bcrypt.c")],
    });
    return { env: { SLUICE_TEST_BCRYPT: library } };
  },
});
