// The build file of the demo: a small book is written, indexed and bound, by builds that are real and short.
//
// It is an example, too: `import { … } from "tsbuild-top"` in a file of yours is what the import below is.
import { busybox, runCommand, type StoreObject, source, textFile } from "../../evaluate/build-file/api.ts";

/** What the demo passes: the tools of this machine, and a word that makes this demo's builds its own. */
interface Given {
  /** Path of a static busybox; empty where there is none and `path` is used instead. */
  readonly busybox: string;
  /** PATH inside the builds where there is no busybox. */
  readonly path: string;
}

const CHAPTERS: readonly (readonly [title: string, text: string])[] = [
  [
    "arrival",
    "The machine hummed and the first derivation arrived. Nobody knew what it depended on, and everybody waited.",
  ],
  [
    "inputs",
    "Inputs came before outputs, as they must. A source was hashed, a path was made, and the waiting grew shorter.",
  ],
  [
    "slots",
    "There were slots and there were builds. The slots were few, the builds were many, and the order was everything.",
  ],
  [
    "silence",
    "One builder fell silent in the night. The others went on, and what it had begun was begun again elsewhere.",
  ],
  ["closure", "A closure is everything a thing needs, and everything that needs, until nothing is needed any more."],
  [
    "rounds",
    "Twice it was built, and twice it was the same. The third one was not, and that was how they found the clock.",
  ],
  [
    "signature",
    "It was signed by a key that nobody had lost. The signature was checked by everybody who had not made it.",
  ],
  ["garbage", "What nothing points to is garbage. They kept a link to what they loved and let the rest go."],
];

/** Everything that is built. */
export default function book(given: Given): readonly StoreObject[] {
  const tools = given.busybox === "" ? [] : [busybox(given.busybox)];
  const env = given.busybox === "" ? { PATH: given.path } : {};
  const phase = (name: string): string => `echo '@nix { "action": "setPhase", "phase": "${name}" }' >&2`;
  const step = (
    name: string,
    seconds: number,
    script: string,
    requiredSystemFeatures: readonly string[] = [],
  ): StoreObject =>
    runCommand(
      name,
      { tools, env, ...(requiredSystemFeatures.length > 0 ? { requiredSystemFeatures } : {}) },
      `cd "$NIX_BUILD_TOP"\n${phase("unpackPhase")}\nmkdir -p $out\n${phase("buildPhase")}\nsleep ${seconds}\n${script}\n${phase("installPhase")}\necho "${name}: $(ls $out | wc -l) files"`,
    );

  const stopWords = step(
    "stop-words",
    0.4,
    "printf '%s\\n' a and as by in is it of the they to was were what > $out/words",
  );
  const alphabet = step(
    "alphabet",
    0.5,
    "printf '%s\\n' a b c d e f g h i j k l m n o p q r s t u v w x y z > $out/letters",
  );
  const paper = step("paper", 0.6, "printf '%s\\n' 'A5, 90 grams, ivory' > $out/paper");

  const chapters = CHAPTERS.map(([title, text], index) =>
    step(
      `chapter-${index + 1}-${title}`,
      0.5 + (index % 4) * 0.3,
      `tr -cs 'A-Za-z' '\\n' < ${textFile(`${title}.txt`, `${text}\n`)} | tr 'A-Z' 'a-z' | sort > $out/words
cp ${textFile(`${title}.txt`, `${text}\n`)} $out/text
echo "$(wc -l < $out/words) words, set in $(head -n 1 ${alphabet}/letters)-type"`,
    ),
  );
  const indexes = [0, 1, 2, 3].map((part) =>
    step(
      `index-part-${part + 1}`,
      0.6,
      `sort ${chapters[2 * part]}/words ${chapters[2 * part + 1]}/words | uniq > all
grep -v -x -f ${stopWords}/words all > $out/entries
wc -l < $out/entries`,
    ),
  );
  const concordance = step(
    "concordance",
    0.8,
    `cat ${indexes.map((part) => `${part}/entries`).join(" ")} | sort | uniq -c > $out/list`,
  );

  // Asks for a feature that two machines have; the connection to the one that takes it first breaks in the middle.
  const cover = step("cover-engraving", 1.2, `echo 'T H E   B O O K' > $out/cover; cat ${paper}/paper >> $out/cover`, [
    "big-parallel",
  ]);
  const proofs = [1, 2].map((copy) =>
    step(`print-trial-${copy}`, 0.9, `cat ${paper}/paper > $out/trial; echo 'trial ${copy}' >> $out/trial`, [
      "benchmark",
    ]),
  );
  const spelling = step(
    "spell-check",
    0.7,
    `echo "checking ${CHAPTERS.length} chapters"
echo "chapter 6: unknown word: 'derivation'" >&2
echo "spell-check: 1 error" >&2
exit 1`,
  );
  const errata = step("errata", 0.4, `cp ${spelling}/* $out/`);
  // A number that is another one each time: what a second round is for.
  const imprint = step("imprint", 0.5, "head -c 8 /dev/urandom | od -A n -t x1 > $out/printed-at");

  const binding = step(
    "binding",
    0.8,
    `cat ${chapters.map((chapter) => `${chapter}/text`).join(" ")} > $out/book
cat ${concordance}/list >> $out/book; cat ${cover}/cover >> $out/book; wc -c < $out/book`,
  );
  const colophon = step(
    "colophon",
    0.4,
    `cp ${source(new URL(import.meta.url), { name: "book-source" })} $out/how-it-was-made`,
  );
  const delivery = step(
    "delivery",
    0.6,
    `cp ${binding}/book $out/book; cat ${colophon}/how-it-was-made > $out/colophon`,
  );
  return [delivery, ...proofs, errata, imprint];
}
