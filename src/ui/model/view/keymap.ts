// The one key table: matching, footer, help and docs/KEYS.md are all made from it.
import type { ViewContext } from "./context.ts";
import {
  cancelObstacle,
  machineObstacle,
  needsGoal,
  needsSearch,
  needsSelection,
  nextObstacle,
  pauseObstacle,
  replaying,
  retryAllObstacle,
  retryObstacle,
  slotsObstacle,
  steering,
} from "./key-obstacles.ts";
import type { ScreenType } from "./view-state.ts";

export type ActionName =
  | "moveUp"
  | "moveDown"
  | "pageUp"
  | "pageDown"
  | "moveTop"
  | "moveBottom"
  | "scrollLeft"
  | "scrollRight"
  | "nextPanel"
  | "previousPanel"
  | "open"
  | "openLog"
  | "openTree"
  | "openList"
  | "openMachines"
  | "openFailures"
  | "openRounds"
  | "openHelp"
  | "back"
  | "filter"
  | "search"
  | "nextMatch"
  | "previousMatch"
  | "follow"
  | "wrap"
  | "sort"
  | "reverse"
  | "cancel"
  | "retry"
  | "retryFailed"
  | "buildNext"
  | "toggleCordon"
  | "drain"
  | "moreSlots"
  | "fewerSlots"
  | "togglePause"
  | "copy"
  | "redraw"
  | "suspend"
  | "quit"
  | "interrupt"
  | "replayPause"
  | "replaySlower"
  | "replayFaster"
  | "replayBack"
  | "replayForward";

export const KEY_SECTIONS = ["move", "look", "steer", "program", "replay"] as const;
export type KeySection = (typeof KEY_SECTIONS)[number];

export interface KeyBinding {
  readonly action: ActionName;
  /** Names as `keyName` makes them: `j`, `up`, `ctrl+c`. */
  readonly keys: readonly string[];
  /** One or two words for the footer. */
  readonly label: string;
  /** A sentence for the help and the manual. */
  readonly help: string;
  readonly section: KeySection;
  /** Where the key means this; null is everywhere. */
  readonly screens: readonly ScreenType[] | null;
  /** Place in the footer, lowest first; null is never shown there. */
  readonly footer: number | null;
  /** Why the key does nothing now; null when it does something. */
  readonly obstacle: (context: ViewContext) => string | null;
}

const LISTS = ["board", "list", "tree", "machines", "failures", "rounds"] as const;
const always = (): null => null;

export const KEYMAP: readonly KeyBinding[] = [
  key("moveUp", ["up", "k"], "up", "One row up.", "move", null, null),
  key("moveDown", ["down", "j"], "select", "One row down.", "move", null, 1),
  key("pageUp", ["pageup", "ctrl+u"], "page up", "One page up.", "move", null, null),
  key("pageDown", ["pagedown", "ctrl+d"], "page down", "One page down.", "move", null, null),
  key("moveTop", ["g", "home"], "top", "To the first row.", "move", null, null),
  key("moveBottom", ["G", "end"], "end", "To the last row; in a log: follow its end.", "move", null, null),
  key("scrollLeft", ["left", "h"], "left", "Long log lines: back to the left.", "move", ["log"], null),
  key("scrollRight", ["right"], "right", "Long log lines: to the right.", "move", ["log"], null),
  key(
    "nextPanel",
    ["tab"],
    "panel",
    "To the next panel; in the list: show all, unfinished, building, waiting, failed, built.",
    "move",
    ["board", "tree", "list"],
    11,
  ),
  key("previousPanel", ["shift+tab"], "panel back", "To the panel before.", "move", ["board", "tree", "list"], null),

  key(
    "open",
    ["return"],
    "open",
    "Open what is selected: the log of a build, the list of a waiting group, a builder, a dependency.",
    "look",
    LISTS,
    2,
    needsSelection,
  ),
  key("openLog", ["l"], "log", "The log of the selected build.", "look", LISTS, 3, needsGoal),
  key(
    "openTree",
    ["t"],
    "dependencies",
    "What the selected build needs, and what needs it.",
    "look",
    [...LISTS, "log"],
    12,
    needsGoal,
  ),
  key("openList", ["a"], "all builds", "All builds as a list.", "look", null, 13),
  key("openMachines", ["m"], "builders", "The builders, with everything known of them.", "look", null, 14),
  key(
    "openFailures",
    ["f"],
    "failures",
    "What failed, why and where.",
    "look",
    ["board", "list", "tree", "machines", "rounds", "help"],
    10,
    (context) => (context.board.failures.size === 0 ? "nothing has failed" : null),
  ),
  key(
    "openRounds",
    ["d"],
    "rounds",
    "Rounds and checks: which machine built what differently, in what it differs, and what the diff hook says.",
    "look",
    ["board", "list", "log", "tree", "machines", "failures", "help"],
    10,
    (context) => (context.board.compared.size === 0 ? "nothing is built twice: --check or --repeat N does" : null),
  ),
  key("filter", ["/"], "filter", "Show only what contains a text.", "look", ["board", "list"], 8),
  key("search", ["/"], "search", "Find a text in the log.", "look", ["log"], 8),
  key("nextMatch", ["n"], "next", "The next line that contains the text.", "look", ["log"], 9, needsSearch),
  key(
    "previousMatch",
    ["N"],
    "previous",
    "The line before that contains the text.",
    "look",
    ["log"],
    null,
    needsSearch,
  ),
  key("follow", ["F"], "follow", "Follow the end of the log, or stop following.", "look", ["log"], 4),
  key("wrap", ["w"], "wrap", "Wrap long log lines, or cut them.", "look", ["log"], 10),
  key(
    "sort",
    ["s"],
    "sort",
    "Sort by plan, name, status, time or builder; also takes the order anew.",
    "look",
    ["list"],
    9,
  ),
  key("reverse", ["S"], "reverse", "Turn the order of the list round.", "look", ["list"], null),
  key(
    "copy",
    ["y"],
    "copy",
    "Copy to the terminal's clipboard: the path of the selected build, the lines of the log on the screen, the address of a builder.",
    "look",
    [...LISTS, "log"],
    15,
    (context) =>
      context.selected.type === "none" || context.selected.type === "waiting" ? "nothing to copy is selected" : null,
  ),
  key("openHelp", ["?"], "help", "All keys.", "look", [...LISTS, "log"], 90),
  key(
    "back",
    ["escape", "backspace"],
    "back",
    "Back to the screen before; on the board: end the filter.",
    "look",
    null,
    80,
    (context) =>
      context.view.screens.length === 1 && (context.screen.type !== "board" || context.screen.filter === "")
        ? "this is the board"
        : null,
  ),

  key(
    "cancel",
    ["x"],
    "cancel",
    "Cancel the selected build, also on its builder; asks first.",
    "steer",
    [...LISTS, "log"],
    5,
    (context) => steering(context) ?? cancelObstacle(context),
  ),
  key(
    "retry",
    ["r"],
    "retry",
    "Try the selected build or hook again.",
    "steer",
    [...LISTS, "log"],
    6,
    (context) => steering(context) ?? retryObstacle(context),
  ),
  key(
    "retryFailed",
    ["R"],
    "retry failed",
    "Try everything that failed again: builds, hooks and uploads.",
    "steer",
    ["board", "list", "failures"],
    null,
    (context) => steering(context) ?? retryAllObstacle(context),
  ),
  key(
    "buildNext",
    ["b"],
    "build next",
    "Put the selected build, and what it waits for, before everything else.",
    "steer",
    [...LISTS, "log"],
    7,
    (context) => steering(context) ?? nextObstacle(context),
  ),
  key(
    "toggleCordon",
    ["u"],
    "cordon",
    "Cordon the selected builder: it takes nothing new; again: uncordon.",
    "steer",
    ["board", "machines"],
    7,
    (context) => steering(context) ?? machineObstacle(context),
  ),
  key(
    "drain",
    ["D"],
    "drain",
    "Drain the selected builder: it finishes what it runs, then disconnects.",
    "steer",
    ["board", "machines"],
    null,
    (context) => steering(context) ?? machineObstacle(context),
  ),
  key(
    "moreSlots",
    ["+", "="],
    "more slots",
    "One slot more for the selected builder (on this machine: max-jobs).",
    "steer",
    ["board", "machines"],
    null,
    (context) => steering(context) ?? machineObstacle(context),
  ),
  key(
    "fewerSlots",
    ["-"],
    "fewer slots",
    "One slot fewer; a busy slot ends with its build.",
    "steer",
    ["board", "machines"],
    null,
    (context) => steering(context) ?? machineObstacle(context) ?? slotsObstacle(context),
  ),
  key(
    "togglePause",
    ["p"],
    "pause",
    "Pause dispatch: what runs goes on, nothing new starts; again: go on.",
    "steer",
    LISTS,
    16,
    (context) => steering(context) ?? pauseObstacle(context),
  ),

  key("redraw", ["ctrl+l"], "redraw", "Draw the screen anew.", "program", null, null),
  key(
    "suspend",
    ["ctrl+z"],
    "suspend",
    "Back to the shell; `fg` brings the board back. The builds go on only while the program runs.",
    "program",
    null,
    null,
  ),
  key(
    "quit",
    ["q"],
    "quit",
    "On the board: the first press finishes what runs and starts nothing new, the second cancels; when the run has ended: leave. Elsewhere: back.",
    "program",
    null,
    95,
  ),
  key(
    "interrupt",
    ["ctrl+c"],
    "stop",
    "Everywhere: the first press finishes what runs and starts nothing new, the second cancels; when the run has ended: leave.",
    "program",
    null,
    null,
  ),

  key("replayPause", ["space"], "pause", "Replay: stop the clock, or let it go on.", "replay", null, 20, replaying),
  key("replaySlower", ["<"], "slower", "Replay: half the speed.", "replay", null, 21, replaying),
  key("replayFaster", [">"], "faster", "Replay: twice the speed.", "replay", null, 22, replaying),
  key("replayBack", ["["], "back 10s", "Replay: ten seconds back.", "replay", null, null, replaying),
  key("replayForward", ["]"], "on 10s", "Replay: ten seconds on.", "replay", null, null, replaying),
];

function key(
  action: ActionName,
  keys: readonly string[],
  label: string,
  help: string,
  section: KeySection,
  screens: readonly ScreenType[] | null,
  footer: number | null,
  obstacle: (context: ViewContext) => string | null = always,
): KeyBinding {
  return { action, keys, label, help, section, screens, footer, obstacle };
}

/** What a key means on a screen; null when it means nothing there. */
export function bindingFor(keyName: string, screen: ScreenType): KeyBinding | null {
  return (
    KEYMAP.find((binding) => binding.keys.includes(keyName) && (binding.screens?.includes(screen) ?? true)) ?? null
  );
}

/** The bindings the footer shows: those that do something now, most useful first. Where `Esc` goes back, `q` needs no place. */
export function footerBindings(context: ViewContext): readonly KeyBinding[] {
  const goesBack = context.view.screens.length > 1;
  return KEYMAP.filter(
    (binding) =>
      binding.footer !== null &&
      !(binding.action === "quit" && goesBack) &&
      (binding.screens?.includes(context.screen.type) ?? true) &&
      binding.obstacle(context) === null,
  ).sort((one, other) => (one.footer ?? 0) - (other.footer ?? 0));
}
