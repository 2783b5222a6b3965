/**
 * The control socket's language: one request as a line of JSON, one answer as
 * a line of JSON.
 *
 *     {"version":1,"verb":"tunnel","name":"work","wanted":"down"}
 *     {"version":1,"result":null}
 *     {"version":1,"error":{"message":"there is no tunnel \"wrok\"","hint":"…"}}
 *
 * What comes in is hostile until it is read: nothing here throws on it.
 */
import { parseAddress } from "../core/wire/address.ts";
import type { RuleProtocol } from "../core/route/rules/rule.ts";
import { ConfigError, formatProblem } from "../config/problems.ts";
import {
  type ClientPort,
  ClientPortError,
  type ExplainedProgram,
  type ExplainQuestion,
} from "./client_port.ts";

/** Of requests and answers; another one is refused. */
export const CONTROL_VERSION = 1;

/** A request. */
export type ControlRequest =
  | { readonly verb: "status" }
  | { readonly verb: "flows" }
  | { readonly verb: "explain"; readonly question: ExplainQuestion }
  | {
    readonly verb: "tunnel";
    readonly name: string;
    readonly wanted: "up" | "down";
  }
  | { readonly verb: "mode"; readonly wanted: "running" | "paused" }
  | { readonly verb: "reload" };

/** Why a request was not done. */
export interface ControlFault {
  readonly message: string;
  readonly hint?: string;
}

/** What comes back. */
export type ControlAnswer =
  | { readonly kind: "result"; readonly result: unknown }
  | { readonly kind: "fault"; readonly fault: ControlFault };

/** Longer texts in a request are none of ours. */
const TEXT_LIMIT = 4096;
const ANCESTOR_LIMIT = 64;
const PORT_LIMIT = 0xffff;
const PROCESS_LIMIT = 0x7fff_ffff;

/** The request as a line without its end. */
export function formatRequest(request: ControlRequest): string {
  return JSON.stringify({ version: CONTROL_VERSION, ...request });
}

/** Reads a line; what is wrong with it as text. */
export function parseRequest(
  line: string,
): ControlRequest | ControlFault {
  const fields = parseObject(line);
  if (fields === undefined) return { message: "a request is a JSON object" };
  if (fields.version !== CONTROL_VERSION) {
    return {
      message: `this client speaks version ${CONTROL_VERSION} of the protocol`,
      hint: "restart the client: it is another version of sluice",
    };
  }
  switch (fields.verb) {
    case "status":
    case "flows":
    case "reload":
      return { verb: fields.verb };
    case "explain": {
      const question = readQuestion(fields.question);
      return question === undefined
        ? { message: "explain: bad question" }
        : { verb: "explain", question };
    }
    case "tunnel": {
      const { name, wanted } = fields;
      return isText(name) && (wanted === "up" || wanted === "down")
        ? { verb: "tunnel", name, wanted }
        : { message: "tunnel: a name, and up or down" };
    }
    case "mode": {
      const { wanted } = fields;
      return wanted === "running" || wanted === "paused"
        ? { verb: "mode", wanted }
        : { message: "mode: running or paused" };
    }
    default:
      return { message: "no such verb" };
  }
}

/** Does what a line asks. Never throws. @returns the answer, its end included. */
export async function handleControl(
  line: string,
  port: ClientPort,
): Promise<string> {
  const request = parseRequest(line);
  if (!("verb" in request)) return formatFault(request);
  try {
    const result = await perform(request, port) ?? null;
    return JSON.stringify({ version: CONTROL_VERSION, result }) + "\n";
  } catch (error) {
    return formatFault(faultOf(error));
  }
}

/** Reads an answer. */
export function parseAnswer(line: string): ControlAnswer {
  const fields = parseObject(line);
  if (fields?.version !== CONTROL_VERSION) {
    return {
      kind: "fault",
      fault: {
        message: "the running client gives answers of another version",
        hint: "restart the client: it is another version of sluice",
      },
    };
  }
  const { error, result } = fields;
  if (typeof error !== "object" || error === null) {
    return { kind: "result", result };
  }
  const { message, hint } = error as Record<string, unknown>;
  return {
    kind: "fault",
    fault: {
      message: isText(message) ? message : "failed",
      ...(isText(hint) ? { hint } : {}),
    },
  };
}

function perform(request: ControlRequest, port: ClientPort): unknown {
  switch (request.verb) {
    case "status":
      return port.status();
    case "flows":
      return port.flows();
    case "explain":
      return port.explain(request.question);
    case "tunnel":
      return port.setTunnel(request.name, request.wanted);
    case "mode":
      return port.setMode(request.wanted);
    case "reload":
      return port.reload();
  }
}

function formatFault(error: ControlFault): string {
  return JSON.stringify({ version: CONTROL_VERSION, error }) + "\n";
}

function faultOf(error: unknown): ControlFault {
  if (error instanceof ClientPortError) {
    const { message, hint } = error;
    return { message, ...(hint === undefined ? {} : { hint }) };
  }
  if (error instanceof ConfigError) {
    return {
      message: error.problems.map(formatProblem).join("\n"),
      hint: "the config was not taken; the old one stays in force",
    };
  }
  return { message: error instanceof Error ? error.message : String(error) };
}

function parseObject(line: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? value as Record<string, unknown>
      : undefined;
  } catch {
    return undefined;
  }
}

function readQuestion(value: unknown): ExplainQuestion | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { program, protocol, address, port, name } = value as Record<
    string,
    unknown
  >;
  const explained = readProgram(program);
  if (
    explained === undefined || !isProtocol(protocol) || !isText(address) ||
    parseAddress(address) === undefined || !isWhole(port, PORT_LIMIT) ||
    (name !== undefined && !isText(name))
  ) return undefined;
  return {
    program: explained,
    protocol,
    address,
    port,
    ...(name === undefined ? {} : { name: name.toLowerCase() }),
  };
}

function readProgram(value: unknown): ExplainedProgram | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { kind, processId, path, user, ancestors } = value as Record<
    string,
    unknown
  >;
  if (kind === "unknown") return { kind };
  if (kind === "process") {
    return isWhole(processId, PROCESS_LIMIT) ? { kind, processId } : undefined;
  }
  return kind === "program" && isText(path) && isText(user) &&
      Array.isArray(ancestors) && ancestors.length <= ANCESTOR_LIMIT &&
      ancestors.every(isText)
    ? { kind, path, user, ancestors }
    : undefined;
}

function isProtocol(value: unknown): value is RuleProtocol {
  return value === "tcp" || value === "udp" || value === "icmp";
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value.length <= TEXT_LIMIT;
}

function isWhole(value: unknown, most: number): value is number {
  return Number.isInteger(value) && (value as number) >= 0 &&
    (value as number) <= most;
}
