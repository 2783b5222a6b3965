/** `genkey`, `pubkey` and `genpsk`: the same lines as those of `wg`. */
import { Command } from "@commander-js/extra-typings";
import {
  formatKey,
  generatePresharedKey,
  generatePrivateKey,
  parseKey,
  publicKeyOf,
} from "../config/keys.ts";
import { UserError } from "./errors.ts";
import { writeError, writeOut } from "./output.ts";

/** Longer input is no key; reading on would only fill memory. */
const INPUT_LIMIT = 4096;

/** `sluice genkey`. */
export function genkeyCommand(): Command {
  return new Command("genkey")
    .description("make a private key and print it")
    .addHelpText(
      "after",
      "\nExample:\n  umask 077; sluice genkey > private.key",
    )
    .action(() => {
      warnOfOpenFile();
      writeOut(formatKey(generatePrivateKey()) + "\n");
    });
}

/** `sluice genpsk`. */
export function genpskCommand(): Command {
  return new Command("genpsk")
    .description("make a preshared key and print it")
    .addHelpText("after", "\nExample:\n  sluice genpsk > phone.psk")
    .action(() => {
      warnOfOpenFile();
      writeOut(formatKey(generatePresharedKey()) + "\n");
    });
}

/** `sluice pubkey`. */
export function pubkeyCommand(): Command {
  return new Command("pubkey")
    .description("read a private key from standard input, print its public key")
    .addHelpText(
      "after",
      "\nExamples:\n  sluice pubkey < private.key\n  sluice genkey | tee private.key | sluice pubkey",
    )
    .action(async () => {
      const key = parseKey(await readInput());
      if (key === undefined) {
        throw new UserError(
          "standard input holds no private key",
          "it must be one line of base64 (44 characters that end in =), as sluice genkey prints it",
        );
      }
      writeOut(formatKey(publicKeyOf(key)) + "\n");
    });
}

async function readInput(): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of Deno.stdin.readable) {
    text += decoder.decode(chunk, { stream: true });
    if (text.length > INPUT_LIMIT) break;
  }
  return text;
}

/** As `wg` does: a secret should not land in a file that everybody reads. */
function warnOfOpenFile(): void {
  try {
    const { isFile, mode } = Deno.statSync("/proc/self/fd/1");
    if (isFile && mode !== null && (mode & 0o007) !== 0) {
      writeError(
        "warning: writing to a file that every user may read; run umask 077 first\n",
      );
    }
  } catch {
    // No /proc here: nothing to say.
  }
}
