/** Entry point: hands the arguments to the command line and exits with its code. */
import { main } from "./src/cli/main.ts";

if (import.meta.main) Deno.exit(await main(Deno.args));
