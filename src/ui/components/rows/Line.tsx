// One row of the screen: never wider than the terminal, never more than one row high.
import { Box, Text } from "ink";
import { memo, type ReactNode } from "react";
import { fitWidth } from "../../format/width.ts";
import type { Theme } from "../../theme.ts";
import { inPlace } from "./in-place.ts";
import { chunksOf, layoutParts, type Part, type Segment } from "./parts.ts";

export interface LineProps {
  readonly parts: readonly Part[];
  readonly width: number;
  readonly theme: Theme;
  readonly isSelected?: boolean;
}

/** Draws parts; a selected row is inverse as a whole, so that no tone of its own makes it unreadable. */
export function Line({ parts, width, theme, isSelected = false }: LineProps): ReactNode {
  return <Segments segments={layoutParts(parts, width, theme)} width={isSelected ? width : 0} theme={theme} />;
}

interface SegmentsProps {
  readonly segments: readonly Segment[];
  /** Cells the inverse row takes when it is selected; 0 when it is not. */
  readonly width: number;
  readonly theme: Theme;
}

/** Unchanged rows are not rendered again. */
const Segments = memo(function Segments({ segments, width, theme }: SegmentsProps): ReactNode {
  if (width > 0)
    return (
      <Text wrap="truncate" {...theme.styles.selected}>
        {fitWidth(segments.map((segment) => segment.text).join(""), width)}
      </Text>
    );
  return (
    <Box height={1} flexShrink={0}>
      {inPlace(chunksOf(segments), (chunk) => (
        <Text wrap="truncate">
          {inPlace(chunk, (segment) =>
            segment.tone === "plain" ? segment.text : <Text {...theme.styles[segment.tone]}>{segment.text}</Text>,
          )}
        </Text>
      ))}
    </Box>
  );
}, sameSegments);

function sameSegments(one: SegmentsProps, other: SegmentsProps): boolean {
  if (one.theme !== other.theme || one.width !== other.width || one.segments.length !== other.segments.length)
    return false;
  return one.segments.every((segment, index) => {
    const counterpart = other.segments[index];
    return counterpart !== undefined && segment.text === counterpart.text && segment.tone === counterpart.tone;
  });
}
