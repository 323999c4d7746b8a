// The whole screen: exactly as many columns and rows as the terminal has, whatever is looked at.
import { Box } from "ink";
import type { ReactNode } from "react";
import { frameOf, type ViewContext } from "../model/view/context.ts";
import type { Theme } from "../theme.ts";
import { Detail, Footer } from "./Footer.tsx";
import { Header } from "./Header.tsx";
import { BoardView } from "./screens/BoardView.tsx";
import { FailuresView } from "./screens/FailuresView.tsx";
import { HelpView } from "./screens/HelpView.tsx";
import { ListView } from "./screens/ListView.tsx";
import { LogView } from "./screens/LogView.tsx";
import { MachinesView } from "./screens/MachinesView.tsx";
import { RoundsView } from "./screens/RoundsView.tsx";
import { TreeView } from "./screens/TreeView.tsx";

export interface AppProps {
  readonly context: ViewContext;
  readonly theme: Theme;
}

export function App({ context, theme }: AppProps): ReactNode {
  const { size } = context;
  const frame = frameOf(size);
  return (
    <Box width={size.columns} height={size.rows} flexDirection="column" overflow="hidden">
      <Box flexDirection="column" height={frame.header} flexShrink={0}>
        <Header context={context} theme={theme} height={frame.header} />
      </Box>
      <Box flexDirection="column" height={frame.body} flexShrink={0} overflow="hidden">
        <Body context={context} theme={theme} height={frame.body} />
      </Box>
      {frame.detail > 0 && <Detail context={context} theme={theme} height={frame.detail} />}
      {frame.footer > 0 && <Footer context={context} theme={theme} />}
    </Box>
  );
}

function Body({ context, theme, height }: AppProps & { readonly height: number }): ReactNode {
  const { layout, screen } = context;
  if (height === 0) return null;
  switch (layout.type) {
    case "board":
      return <BoardView context={context} layout={layout} theme={theme} />;
    case "list":
      return screen.type === "list" ? (
        <ListView context={context} layout={layout} screen={screen} height={height} theme={theme} />
      ) : null;
    case "log":
      return screen.type === "log" ? (
        <LogView context={context} layout={layout} screen={screen} height={height} theme={theme} />
      ) : null;
    case "tree":
      return <TreeView context={context} layout={layout} height={height} theme={theme} />;
    case "machines":
      return <MachinesView context={context} layout={layout} height={height} theme={theme} />;
    case "failures":
      return <FailuresView context={context} layout={layout} height={height} theme={theme} />;
    case "rounds":
      return <RoundsView context={context} layout={layout} height={height} theme={theme} />;
    case "help":
      return <HelpView context={context} layout={layout} theme={theme} />;
  }
}
