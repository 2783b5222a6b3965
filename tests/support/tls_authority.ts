/** An authority of a test, and what a TLS server has of it. */
import type { Lab } from "./lab.ts";
import { runCommand } from "./process.ts";

/** Where the certificate of an authority is. */
export function authorityPath(lab: Lab, name: string): string {
  return `${lab.directory}/${name}-ca.pem`;
}

/** Makes it. @returns key and certificate of a server at an address, PEM text. */
export async function makeAuthority(
  lab: Lab,
  { name, address }: { readonly name: string; readonly address: string },
): Promise<{ readonly pem: string }> {
  const path = (file: string) => `${lab.directory}/${name}-${file}.pem`;
  const request = [
    ...["openssl", "req", "-x509", "-nodes", "-days", "2"],
    ...["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"],
  ];
  await runCommand([
    ...request,
    ...["-subj", `/CN=${name} authority`],
    ...["-keyout", path("ca-key"), "-out", authorityPath(lab, name)],
  ]);
  await runCommand([
    ...request,
    ...["-CA", authorityPath(lab, name), "-CAkey", path("ca-key")],
    ...["-subj", "/CN=proxy.test", "-keyout", path("key"), "-out", path("own")],
    ...["-addext", "basicConstraints=critical,CA:FALSE"],
    ...["-addext", `subjectAltName=IP:${address}`],
  ]);
  const [key, certificate] = await Promise.all(
    ["key", "own"].map((file) => Deno.readTextFile(path(file))),
  );
  return { pem: key + certificate };
}
