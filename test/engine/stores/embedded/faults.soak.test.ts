// The fault tests at their full dose: 200 kills.
process.env.TSBUILD_TOP_FAULTS = "200";
await import("./faults.system.test.ts");
