// A process for the fault tests to kill: builds derivations or imports paths in a store until it is done, saying `ready` when it begins.
import { parseStorePath } from "../../../../src/engine/formats/store-path.ts";
import { buildDrv, file, incoming, openTestStore, type TestPath, testPath } from "./support.ts";

/** Paths of a chain, each of which refers to the one before. */
export function chain(count: number): TestPath[] {
  const paths: TestPath[] = [];
  for (let number = 0; number < count; number++) {
    const before = paths.slice(-1).map(({ info }) => info.path);
    const entries = new Map(
      Array.from({ length: 5 }, (_, at) => [`f${at}` as never, file(`${number} ${at} ${before}`)]),
    );
    paths.push(testPath(`chain-${number}`, { type: "directory", entries }, before));
  }
  return paths;
}

if (import.meta.main) {
  const [root, task, ...rest] = process.argv.slice(2) as [string, string, ...string[]];
  const store = await openTestStore(root);
  process.stdout.write("ready\n");
  if (task === "import") {
    const valid = await store.queryAllValidPaths();
    const missing = chain(Number(rest[0])).filter(({ info }) => !valid.includes(info.path));
    await store.addPaths(missing.map(incoming), { checkSignatures: false });
  } else {
    for (const drv of rest) {
      const { result } = await buildDrv(store, parseStorePath(drv));
      if (result.errorMessage !== "") throw new Error(result.errorMessage);
    }
  }
  await store.close();
}
