/**
 * A program on a Windows machine that starts another one, which has its standard
 * input and output and doesn't end with it. Arguments: the other's command line.
 */
const [program, ...args] = Deno.args;
const child = new Deno.Command(program, { args, detached: true }).spawn();
await child.status;
