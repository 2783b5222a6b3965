/** The kill switch under Wine, whose filter engine a stand-in takes the place of. */
import { insideTests } from "./support/inside.ts";
import { buildForWindows } from "./support/standins.ts";

const FILE = new URL("./inside/io/os/kill_switch_windows.ts", import.meta.url);
const SOURCE = new URL("./standins/fwpuclnt.c", import.meta.url);

await insideTests([FILE.pathname], {
  async prepare({ lab }) {
    return {
      env: {
        SLUICE_TEST_FWPUCLNT: await buildForWindows({
          name: "fwpuclnt_standin.dll",
          sources: [SOURCE.pathname],
        }),
        SLUICE_TEST_WFP_LOG: `${lab.directory}/wfp.log`,
      },
    };
  },
});
