// The kills at their full dose: 100 rounds for each kind of store.
process.env.TSBUILD_TOP_KILLS = "100";
await import("./killed.system.test.ts");
