import { startBuilders } from "/work/main/test/support/builders.ts";
import { nixGenerations } from "/work/main/test/support/nix-generations.ts";
import { createClient, lineFor } from "/work/main/test/e2e/client.ts";
import { CLOSURE } from "/work/main/test/e2e/expressions.ts";
const t0=performance.now(); const log=(...a:unknown[])=>console.log(((performance.now()-t0)/1000).toFixed(1),...a);
const g = await nixGenerations(); log(g.map(x=>x.version));
await using fleet = await startBuilders(g.map((generation) => ({ generation }))); log("fleet");
await using client = await createClient(fleet, { generation: g[0]! }); log("client");
const file = client.write("closure.nix", CLOSURE);
for (const [i,b] of fleet.builders.entries()) for (const s of ["ssh-ng","ssh",""] as const) {
 const r = await client.run(["-f", file, "top","--argstr","salt",`x${i}${s}`,"-j0","--ui","plain","--no-out-link","--builders",lineFor(b,s)],{timeoutMs:10000});
 log(i,s,r.status,r.stdout, r.status===0?"":r.stderr);
}
