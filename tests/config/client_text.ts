/** Texts of client.yaml for tests, and what loading them says. */
import assert from "node:assert/strict";
import {
  type LoadedClientConfig,
  parseClientConfig,
} from "../../src/config/load_client_config.ts";
import { ConfigError, formatProblem } from "../../src/config/problems.ts";

export const PRIVATE_KEY = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=";
export const PUBLIC_KEY = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=";

/** A .conf file with one peer. */
export function confText(
  { address = "10.8.0.2/24", endpoint = "203.0.113.7:51820", more = "" } = {},
): string {
  return `[Interface]
PrivateKey = ${PRIVATE_KEY}
Address = ${address}
DNS = 10.8.0.1
${more}[Peer]
PublicKey = ${PUBLIC_KEY}
AllowedIPs = 0.0.0.0/0, ::/0
Endpoint = ${endpoint}
`;
}

/** An inline tunnel as one line. */
export function inlineTunnel(
  name: string,
  { address = "10.9.0.2/24", endpoint = "198.51.100.7:51820" } = {},
): string {
  return `{ name: ${name}, type: wireguard, privateKey: ${PRIVATE_KEY}, addresses: [${address}], peers: [{ publicKey: ${PUBLIC_KEY}, endpoint: "${endpoint}" }] }`;
}

export const PROXY =
  "{ name: proxy, type: socks5, url: 'socks5://127.0.0.1:1080' }";

export type Files = Readonly<Record<string, string>>;

export function parse(text: string, files: Files = {}): LoadedClientConfig {
  return parseClientConfig(text, {
    file: "client.yaml",
    readFile(path) {
      const found = files[path];
      if (found === undefined) throw new Deno.errors.NotFound("no file");
      return found;
    },
  });
}

/** The problems of a text that must not load, one a line. */
export function problems(text: string, files?: Files): string[] {
  try {
    parse(text, files);
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.problems.map(formatProblem);
  }
  assert.fail("it loaded");
}

/** The warnings of a text that loads, one a line. */
export function warnings(text: string, files?: Files): string[] {
  return parse(text, files).warnings.map(formatProblem);
}
