/**
 * Makes a first `server.yaml`: the commented example with a fresh key and a
 * random private IPv6 prefix (RFC 4193) in it.
 */
import template from "../../config/server.yaml" with { type: "text" };
import { formatIpv6 } from "../core/wire/address.ts";
import { type WriteOptions, writePrivateFile } from "./atomic_write.ts";
import { formatKey, generatePrivateKey, publicKeyOf } from "./keys.ts";
import type { RandomSource } from "./keys.ts";

/** What was made, so that the user can be told. */
export interface CreatedServerConfig {
  readonly path: string;
  readonly publicKey: Uint8Array;
  readonly addresses: readonly string[];
  readonly listenPort: number;
}

const KEY_LINE = "  privateKeyFile: server.key\n";
const KEY_COMMENT = / {2}# The private key itself[^]*?makes one\.\n/;
const IPV6_ADDRESS = "fd66:5c1e::1/64";
const IPV4_ADDRESS = "10.66.0.1/24";
const LISTEN_PORT = 51820;
const SCHEMA_COMMENT = /^# yaml-language-server:.*\n#\n/;

/** The text of a new configuration with the given key and IPv6 prefix. */
export function newServerConfigText(
  privateKey: Uint8Array,
  ipv6Address: string,
): string {
  const text = template.replace(SCHEMA_COMMENT, "")
    .replace(
      KEY_COMMENT,
      "  # Keep it secret. `privateKeyFile: PATH` instead keeps it in a file.\n",
    )
    .replace(KEY_LINE, `  privateKey: ${formatKey(privateKey)}\n`)
    .replace(IPV6_ADDRESS, ipv6Address);
  return text;
}

/** What making works with. */
export interface CreateOptions extends Omit<WriteOptions, "existing"> {
  /** The system's where left out. */
  readonly random?: RandomSource;
}

/**
 * Writes a new configuration that only its owner may read.
 * @throws Deno.errors.AlreadyExists where there is a file: it is never touched.
 */
export async function createServerConfig(
  path: string,
  options: CreateOptions = {},
): Promise<CreatedServerConfig> {
  const {
    random = (bytes) => crypto.getRandomValues(bytes),
    closeFile,
  } = options;
  const privateKey = generatePrivateKey(random);
  const ipv6Address = `${uniqueLocalGateway(random)}/64`;
  const text = newServerConfigText(privateKey, ipv6Address);
  await writePrivateFile(path, text, { existing: "never", closeFile });
  return {
    path,
    publicKey: publicKeyOf(privateKey),
    addresses: [IPV4_ADDRESS, ipv6Address],
    listenPort: LISTEN_PORT,
  };
}

/** fd, 40 random bits, subnet 0, host 1 (RFC 4193 section 3.1). */
function uniqueLocalGateway(random: RandomSource): string {
  const bytes = new Uint8Array(5);
  random(bytes);
  const words = Uint32Array.of(
    (0xfd << 24) | (bytes[0] << 16) | (bytes[1] << 8) | bytes[2],
    ((bytes[3] << 24) | (bytes[4] << 16)) >>> 0,
    0,
    1,
  );
  return formatIpv6(words);
}
