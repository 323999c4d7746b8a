import { startBuilders } from "../support/builders.ts";
import { nixGenerations } from "../support/nix-generations.ts";
import { createClient, lineFor } from "./client.ts";
import { CLOSURE } from "./expressions.ts";
const t0=performance.now(); const log=(...a:unknown[])=>console.log(((performance.now()-t0)/1000).toFixed(1),...a);
const g = await nixGenerations();
await using fleet = await startBuilders(g.map((generation) => ({ generation }))); log("fleet");
await using client = await createClient(fleet, { generation: g[0]! }); log("client");
const file = client.write("closure.nix", CLOSURE);
for (const [i,b] of fleet.builders.entries()) for (const s of ["ssh-ng","ssh",""] as const) {
 const r = await client.run(["-f", file, "top","--argstr","salt",`x${i}${s}`,"-j0","--ui","plain","--no-out-link","--builders",lineFor(b,s)],{timeoutMs:10000});
 log(i,s,r.status,r.stdout, r.status===0&&i+s!=="0ssh-ng"?"":r.stderr);
}
