// Puts the program, with the packages it uses, into a few files: dist/program. Run by `npm run build`, after the compiler.
//
// Reading 200 modules costs a tenth of a second at every start; what `copy` needs is eight files this way. Imports that wait until they are
// needed still do: each is a file of its own. Files that are started or read as such (engine/base/program-files.ts) stay in dist/src.
import { rm } from "node:fs/promises";
import { fileURLToPath } from "node:url";

const fromHere = (path) => fileURLToPath(new URL(path, import.meta.url));

await rm(fromHere("../dist/program"), { recursive: true, force: true });
/** The bundler, null where its native part is not installed: npm leaves out what does not fit the machine it runs on. */
const rolldown = await import("rolldown").then(
  (module) => module.rolldown,
  (error) => {
    process.stderr.write(
      `warning: the program is not bundled and starts a little later, since the bundler cannot be loaded: ${error.message.split("\n")[0]}\n`,
    );
    return null;
  },
);
if (rolldown === null) process.exit(0);
const bundle = await rolldown({
  input: fromHere("../dist/bin/main.js"),
  platform: "node",
  // ssh2's compiled helpers and Ink's debugger: not installed, and each is asked for in a try or never.
  external: ["cpu-features", "./crypto/build/Release/sshcrypto.node", "react-devtools-core"],
  // Packages in the older module format use it; in a bundle it is not there by itself.
  transform: { define: { __dirname: "import.meta.dirname" } },
});
await bundle.write({ dir: fromHere("../dist/program"), format: "esm" });
await bundle.close();
