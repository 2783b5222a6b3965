/**
 * A task as the Task Scheduler reads it.
 * Source: [MS-TSCH] section 2.5, Task Scheduler Schema 1.4.
 */
import type { StartupTask } from "../../ports/startup_tasks.ts";

/** The account SYSTEM. */
const SYSTEM = "S-1-5-18";

/** As whom a task runs. */
export interface TaskUser {
  /** DOMAIN\\user, who installs it: a task at logon is his. */
  readonly name: string;
}

/** The task's XML; files with it are UTF-16. */
export function formatTaskXml(task: StartupTask, user: TaskUser): string {
  const trigger = task.at === "boot"
    ? `<BootTrigger><Enabled>true</Enabled></BootTrigger>`
    : `<LogonTrigger><Enabled>true</Enabled><UserId>${
      escapeXml(user.name)
    }</UserId></LogonTrigger>`;
  const principal = task.at === "boot"
    ? `<UserId>${SYSTEM}</UserId>`
    : `<UserId>${
      escapeXml(user.name)
    }</UserId><LogonType>InteractiveToken</LogonType>`;
  return `<?xml version="1.0" encoding="UTF-16"?>
<Task version="1.4" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <RegistrationInfo>
    <Description>${escapeXml(task.description)}</Description>
  </RegistrationInfo>
  <Triggers>
    ${trigger}
  </Triggers>
  <Principals>
    <Principal id="Author">${principal}<RunLevel>HighestAvailable</RunLevel></Principal>
  </Principals>
  <Settings>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>
    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>
    <AllowHardTerminate>true</AllowHardTerminate>
    <StartWhenAvailable>true</StartWhenAvailable>
    <RunOnlyIfNetworkAvailable>false</RunOnlyIfNetworkAvailable>
    <IdleSettings><StopOnIdleEnd>false</StopOnIdleEnd><RestartOnIdle>false</RestartOnIdle></IdleSettings>
    <AllowStartOnDemand>true</AllowStartOnDemand>
    <Enabled>true</Enabled>
    <Hidden>false</Hidden>
    <RunOnlyIfIdle>false</RunOnlyIfIdle>
    <WakeToRun>false</WakeToRun>
    <ExecutionTimeLimit>PT0S</ExecutionTimeLimit>
    <Priority>4</Priority>
    <RestartOnFailure><Interval>PT1M</Interval><Count>255</Count></RestartOnFailure>
  </Settings>
  <Actions Context="Author">
    <Exec>
      <Command>${escapeXml(task.program)}</Command>
      <Arguments>${
    escapeXml(task.arguments.map(quoteArgument).join(" "))
  }</Arguments>
      <WorkingDirectory>${escapeXml(task.directory)}</WorkingDirectory>
    </Exec>
  </Actions>
</Task>
`;
}

/** What a task's XML starts, as one line; undefined where it starts nothing. */
export function taskCommand(xml: string): string | undefined {
  const command = element(xml, "Command");
  if (command === undefined) return undefined;
  const rest = element(xml, "Arguments");
  const program = quoteArgument(unescapeXml(command).replace(/^"(.*)"$/, "$1"));
  return rest === undefined ? program : `${program} ${unescapeXml(rest)}`;
}

/** Whether the whole task is enabled; that is so where its XML doesn't say. */
export function taskEnabled(xml: string): boolean {
  const settings = element(xml, "Settings") ?? "";
  return element(settings, "Enabled") !== "false";
}

/** UTF-16, little-endian, with its mark. */
export function encodeUtf16(text: string): Uint8Array {
  const bytes = new DataView(new ArrayBuffer(2 + 2 * text.length));
  bytes.setUint16(0, 0xfeff, true);
  for (let i = 0; i < text.length; i++) {
    bytes.setUint16(2 + 2 * i, text.charCodeAt(i), true);
  }
  return new Uint8Array(bytes.buffer);
}

/** A file of the Task Scheduler's as text, whichever encoding it has. */
export function decodeTaskFile(bytes: Uint8Array): string {
  const utf16 = bytes[0] === 0xff && bytes[1] === 0xfe ||
    bytes.length > 1 && bytes[1] === 0;
  return new TextDecoder(utf16 ? "utf-16le" : "utf-8").decode(bytes);
}

/**
 * An argument as the C runtime of Windows takes it apart: backslashes count only
 * before a quotation mark.
 * Source: "Parsing C command-line arguments", Microsoft C documentation.
 */
export function quoteArgument(text: string): string {
  if (text !== "" && !/[\s"]/.test(text)) return text;
  const escaped = text.replaceAll(/(\\*)"/g, '$1$1\\"')
    .replace(/(\\+)$/, "$1$1");
  return `"${escaped}"`;
}

function element(xml: string, name: string): string | undefined {
  return new RegExp(`<${name}>([^]*?)</${name}>`).exec(xml)?.[1];
}

const ENTITIES: Record<string, string> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
};

function escapeXml(text: string): string {
  return text.replaceAll(/[&<>"]/g, (character) => ENTITIES[character]);
}

function unescapeXml(text: string): string {
  return text.replaceAll("&lt;", "<").replaceAll("&gt;", ">")
    .replaceAll("&quot;", '"').replaceAll("&apos;", "'")
    .replaceAll("&amp;", "&");
}
