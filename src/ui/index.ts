// The user interface as the composition root sees it: choose a way of showing, create it, feed it events. Ink is loaded only for the board.
import type { RendererKind } from "./renderers/choose.ts";
import { createInternalJsonRenderer } from "./renderers/json/internal-json.ts";
import { createJsonRenderer } from "./renderers/json/json.ts";
import { createPlainRenderer } from "./renderers/lines/plain.ts";
import { createQuietRenderer } from "./renderers/lines/quiet.ts";
import type { Renderer, RendererPorts } from "./renderers/renderer.ts";

export { formatBytes, formatBytesOf, formatRate } from "./format/bytes.ts";
export { plural } from "./format/counts.ts";
export { formatWords } from "./format/duration.ts";
export { sanitizeColored, sanitizeLine, sanitizeText } from "./format/sanitize.ts";
export {
  type ChooseInput,
  chooseRenderer,
  type RendererChoice,
  type RendererKind,
  UI_FLAGS,
  type UiFlag,
} from "./renderers/choose.ts";
export { type PlannedWork, plannedLines } from "./renderers/lines/nix-words.ts";
export {
  DEFAULT_OPTIONS,
  type EngineRequestWithoutId,
  type Environment,
  type OutputStream,
  type Renderer,
  type RendererPorts,
  type RenderOptions,
  type ReplayControls,
} from "./renderers/renderer.ts";

/** The renderer of this kind; `board` loads Ink and React here and nowhere else. */
export async function createRenderer(choice: RendererKind, ports: RendererPorts): Promise<Renderer> {
  switch (choice.kind) {
    case "json":
      return createJsonRenderer(ports);
    case "internal-json":
      return createInternalJsonRenderer(ports);
    case "plain":
      return createPlainRenderer(ports);
    case "quiet":
      return createQuietRenderer(ports);
    case "board": {
      const { createInteractiveRenderer } = await import("./renderers/board/interactive.ts");
      return createInteractiveRenderer(ports, choice.drawOn);
    }
  }
}
