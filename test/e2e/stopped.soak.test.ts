// Ctrl-C twice at its full dose: 50 moments, and a second for everything to be gone.
process.env.TSBUILD_TOP_STOPS = "50";
process.env.TSBUILD_TOP_GONE_WITHIN = "1000";
await import("./stopped.system.test.ts");
