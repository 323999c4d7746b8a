// The only file that mounts Ink: store in, pixels out, keys back.
import { type Instance, render, useApp, useInput, usePaste } from "ink";
import { type ReactNode, useEffect, useSyncExternalStore } from "react";
import { App } from "../../components/App.tsx";
import type { Theme } from "../../theme.ts";
import type { BoardStore } from "./board-store.ts";
import { keyName, splitTyped } from "./key-name.ts";

/** Hands the terminal back to the shell until the callback is done. */
export type Suspend = (callback: () => Promise<void>) => Promise<void>;

export interface MountOptions {
  readonly store: BoardStore;
  readonly theme: Theme;
  readonly stdin: NodeJS.ReadStream;
  /** The stream drawn on. */
  readonly stream: NodeJS.WriteStream;
  /** Called once with the way to hand the terminal over. */
  readonly onSuspendReady: (suspend: Suspend) => void;
}

/** The mounted board. */
export interface MountedBoard {
  readonly app: Instance;
  /** Brings what Ink holds up to date with the store at once, before it paints for a reason of its own. */
  readonly flush: () => void;
}

export function mountBoard(options: MountOptions): MountedBoard {
  const { store, theme, stdin, stream, onSuspendReady } = options;
  const root = <Root store={store} theme={theme} onSuspendReady={onSuspendReady} />;
  const app = render(root, {
    stdin,
    stdout: stream,
    stderr: stream,
    alternateScreen: !theme.isSpoken,
    isScreenReaderEnabled: theme.isSpoken,
    interactive: true,
    exitOnCtrlC: false,
    patchConsole: false,
    incrementalRendering: true,
    // Events come in batches already; a painter that waits would only make keys slow.
    maxFps: 60,
    onRender: ({ renderTime }) => store.painted(renderTime),
  });
  return { app, flush: () => app.rerender(root) };
}

function Root({ store, theme, onSuspendReady }: Pick<MountOptions, "store" | "theme" | "onSuspendReady">): ReactNode {
  const context = useSyncExternalStore(store.subscribe, store.context);
  const { suspendTerminal } = useApp();
  useEffect(() => onSuspendReady(suspendTerminal), [onSuspendReady, suspendTerminal]);
  useInput((input, key) => {
    const name = keyName(input, key);
    if (name !== null) for (const one of splitTyped(name)) store.press(one);
  });
  usePaste((text) => store.paste(text));
  return <App context={context} theme={theme} />;
}
