// Serving at its full dose: 200 clients at once.
process.env.TSBUILD_TOP_CLIENTS = "200";
await import("./serve.system.test.ts");
