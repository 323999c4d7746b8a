// All keys, made from the key table.
import type { ReactNode } from "react";
import type { HelpLayout } from "../../model/screens/select-others.ts";
import type { ViewContext } from "../../model/view/context.ts";
import { helpLines } from "../../model/view/help.ts";
import type { Theme } from "../../theme.ts";
import { inPlace } from "../rows/in-place.ts";
import { Line } from "../rows/Line.tsx";
import { part } from "../rows/parts.ts";
import { Blank } from "./ListView.tsx";

export function HelpView({
  context,
  layout,
  theme,
}: {
  readonly context: ViewContext;
  readonly layout: HelpLayout;
  readonly theme: Theme;
}): ReactNode {
  const width = context.size.columns;
  const lines = helpLines(context.replay !== null, theme.isAscii).slice(layout.top, layout.top + layout.height);
  return (
    <>
      {inPlace(lines, (line) => (
        <Line
          parts={
            line.type === "heading"
              ? [part(" "), part(line.text, "title")]
              : [part(" "), part(line.keys, "key", { width: 16 }), part(line.text, "plain", { min: 10 })]
          }
          width={width}
          theme={theme}
        />
      ))}
      <Blank count={layout.height - lines.length} width={width} theme={theme} />
    </>
  );
}
