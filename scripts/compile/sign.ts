/**
 * Authenticode signatures of Windows executables, by osslsigncode.
 * Source: osslsigncode(1); "Windows Authenticode Portable Executable Signature
 * Format", Microsoft.
 */

/** With what to sign. */
export interface Signer {
  /** PEM files; the chain may follow the certificate. */
  readonly certificate: string;
  readonly key: string;
  /** Of a time-stamping authority (RFC 3161); without one the signature ends with the certificate. */
  readonly timestampUrl?: string;
}

/** osslsigncode is missing, or said no. */
export class SignError extends Error {
  override readonly name = "SignError";
}

/** Signs a file in place. @throws {SignError} */
export async function sign(path: string, signer: Signer): Promise<void> {
  const signed = `${path}.signed`;
  await osslsigncode(
    ...["sign", "-h", "sha256"],
    ...["-certs", signer.certificate, "-key", signer.key],
    ...["-n", "sluice"],
    ...(signer.timestampUrl ? ["-ts", signer.timestampUrl] : []),
    ...["-in", path, "-out", signed],
  );
  await Deno.rename(signed, path);
}

/**
 * Verifies a file's signature.
 * @param authorities PEM file of the certificates to trust
 * @throws {SignError} where it is not signed by one of them or was changed since.
 */
export async function verify(path: string, authorities: string): Promise<void> {
  await osslsigncode("verify", "-CAfile", authorities, "-in", path);
}

async function osslsigncode(...args: readonly string[]): Promise<void> {
  const command = new Deno.Command("osslsigncode", {
    args: [...args],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
  const { success, stdout, stderr } = await command.output().catch((error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new SignError(
      "osslsigncode is missing: apt-get install osslsigncode",
      { cause: error },
    );
  });
  if (success) return;
  const decoder = new TextDecoder();
  const text = decoder.decode(stdout) + decoder.decode(stderr);
  throw new SignError(`osslsigncode ${args[0]}: ${text.trim()}`);
}
