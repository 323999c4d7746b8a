// All keys, made from the key table.
import type { ReactNode } from "react";
import type { ViewContext } from "../model/context.ts";
import { helpLines } from "../model/help.ts";
import type { HelpLayout } from "../model/select-others.ts";
import type { Theme } from "../theme.ts";
import { inPlace } from "./in-place.ts";
import { Line } from "./Line.tsx";
import { Blank } from "./ListView.tsx";
import { part } from "./parts.ts";

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
