// The builder faults at their full dose: 100 builds each, all faults, every generation in each place.
process.env.TSBUILD_TOP_BUILDER_FAULTS = "full";
await import("./faults.system.test.ts");
